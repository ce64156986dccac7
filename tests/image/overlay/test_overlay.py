import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.overlay.debs import BadPackage
from hyops_assets.image.overlay.layers import OverlayConflict
from hyops_assets.image.overlay.overlay import CONFIGURATION, GROW_PROGRAM, GROW_UNIT, HELPER, build_overlay
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_lab.debs import Deb, Entry, write_deb
from hyops_lab.packages_contents import DEBS

STATUS = "Package: base-files\nStatus: install ok installed\nVersion: 12.4+deb12u5\nArchitecture: amd64\n"
WANTS = "/etc/systemd/system/cloud-init.target.wants"


@pytest.fixture(scope="module")
def squashfs(tmp_path_factory: pytest.TempPathFactory) -> Squashfs:
    root = tmp_path_factory.mktemp("squashfs") / "root"
    for directory in ("usr/lib/systemd/system", "usr/sbin", "usr/bin", "var/lib/dpkg/info", "etc/systemd", "run"):
        (root / directory).mkdir(parents=True)
    for name in ("lib", "sbin", "bin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "var/run").symlink_to("/run")
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "etc/hostname").write_text("vyos\n")
    image = root.with_suffix(".squashfs")
    owners = root.with_suffix(".pseudo")
    owners.write_text("usr/sbin m 2750 0 104\nvar m 755 7 8\n")
    run(["mksquashfs", root, image, "-noappend", "-quiet", "-no-progress", "-pf", owners])
    return Squashfs(image)


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return written(tmp_path_factory.mktemp("debs"), *DEBS)


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    path = tmp_path / "cc_vyos.py"
    path.write_text("# canonical\n")
    return path


@pytest.fixture
def overlay(squashfs: Squashfs, debs: Mapping[str, Path], helper: Path, tmp_path: Path) -> Tree:
    return build_overlay(squashfs, debs, helper, scratch=tmp_path / "scratch")


def written(directory: Path, *debs: Deb) -> dict[str, Path]:
    for deb in debs:
        write_deb(deb, directory / deb.file_name)
    return {deb.name: directory / deb.file_name for deb in debs}


def built(squashfs: Squashfs, tmp_path: Path, *entries: Entry) -> Tree:
    """Build an overlay of one package with these entries."""
    (tmp_path / "own").mkdir()
    helper = tmp_path / "own" / "cc_vyos.py"
    helper.write_text("")
    debs = written(tmp_path / "own", Deb("app", "1", entries=entries))
    return build_overlay(squashfs, debs, helper, scratch=tmp_path / "scratch")


def content(tree: Tree, path: str) -> bytes:
    source = tree.nodes[path].source
    assert source is not None
    return source.read_bytes()


def test_the_merged_usr_stays_merged(overlay: Tree) -> None:
    assert not {"/lib", "/sbin", "/bin"} & set(overlay.nodes)
    assert overlay.nodes["/usr/lib/systemd/system/cloud-init.service"].kind == "file"


def test_a_path_lands_where_the_squashfs_links_lead(squashfs: Squashfs, tmp_path: Path) -> None:
    tree = built(squashfs, tmp_path, Entry("/var/run/app/socket-dir", "directory", mode=0o711))
    assert tree.nodes["/run/app/socket-dir"].mode == 0o711
    assert "/var/run" not in tree.nodes


def test_a_directory_keeps_the_owner_and_mode_of_the_squashfs(overlay: Tree) -> None:
    sbin, var = overlay.nodes["/usr/sbin"], overlay.nodes["/var"]
    assert (sbin.mode, sbin.uid, sbin.gid) == (0o2750, 0, 104)
    assert (var.mode, var.uid, var.gid) == (0o755, 7, 8)
    assert overlay.nodes["/"].kind == "directory"


def test_every_node_stands_in_a_directory_of_the_overlay(overlay: Tree) -> None:
    for path in overlay.nodes:
        assert path == "/" or overlay.nodes[str(Path(path).parent)].kind == "directory"


def test_owners_modes_and_links_are_those_of_the_package(squashfs: Squashfs, tmp_path: Path) -> None:
    tree = built(
        squashfs,
        tmp_path,
        Entry("/usr/bin/app", content=b"app", mode=0o750, uid=33, gid=42),
        Entry("/usr/bin/app-again", "hardlink", target="/usr/bin/app"),
        Entry("/usr/bin/app-link", "symlink", target="app", mode=0o777),
        Entry("/etc/app", "directory", mode=0o2770, gid=42),
        Entry("/etc/app/secret", content=b"", mode=0o000),
    )
    app = tree.nodes["/usr/bin/app"]
    assert (app.mode, app.uid, app.gid) == (0o750, 33, 42)
    assert tree.nodes["/usr/bin/app-again"] == app
    assert tree.nodes["/usr/bin/app-link"].target == "app"
    assert (tree.nodes["/etc/app"].mode, tree.nodes["/etc/app"].gid) == (0o2770, 42)
    assert tree.nodes["/etc/app/secret"].mode == 0
    assert content(tree, "/usr/bin/app-again") == b"app"


def test_dpkg_knows_what_was_added(overlay: Tree) -> None:
    status = content(overlay, "/var/lib/dpkg/status").decode()
    assert status.startswith(STATUS)
    for deb in DEBS:
        assert f"\n\nPackage: {deb.name}\nStatus: install ok installed\nVersion: {deb.version}\n" in status
    digest = hashlib.md5(content(overlay, "/etc/cloud/cloud.cfg")).hexdigest()
    assert f"\nConffiles:\n /etc/cloud/cloud.cfg {digest}\n" in status
    listed = content(overlay, "/var/lib/dpkg/info/cloud-init.list").decode().splitlines()
    assert listed[0] == "/."
    assert "/lib/systemd/system/cloud-init.service" in listed


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg-query")
def test_dpkg_itself_reads_the_merged_status(overlay: Tree, tmp_path: Path) -> None:
    for path, node in overlay.nodes.items():
        if path.startswith("/var/lib/dpkg/") and node.source is not None:
            at = tmp_path / "admin" / Path(path).relative_to("/var/lib/dpkg")
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(node.source, at)
    query = ["dpkg-query", f"--admindir={tmp_path}/admin"]
    shown = run([*query, "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n"]).text.split("\n")
    assert "cloud-init ii " in shown
    assert "/usr/sbin/qemu-ga" in run([*query, "--listfiles", "qemu-guest-agent"]).text
    owner = run([*query, "--search", "/lib/systemd/system/cloud-init.service"]).text
    assert owner.startswith("cloud-init:")


def test_the_units_of_cloud_init_are_enabled_and_no_other_packages(squashfs: Squashfs, tmp_path: Path) -> None:
    unit = "[Unit]\nDescription=x\n\n[Install]\nWantedBy=multi-user.target\n"
    tree = built(squashfs, tmp_path, Entry("/lib/systemd/system/app.service", content=unit.encode()))
    assert "/etc/systemd/system/multi-user.target.wants/app.service" not in tree.nodes


@pytest.mark.parametrize(
    "unit",
    [
        "cloud-init-local.service",
        "cloud-init.service",
        "cloud-config.service",
        "cloud-final.service",
        "cloud-init-hotplugd.socket",
    ],
)
def test_a_stage_of_cloud_init_is_enabled(unit: str, overlay: Tree) -> None:
    assert overlay.nodes[f"{WANTS}/{unit}"].target == f"/usr/lib/systemd/system/{unit}"


TRIXIE = {
    "cloud-init-main.service": "cloud-init.target",
    "cloud-init-local.service": "cloud-init.target",
    "cloud-init-network.service": "cloud-init.target",
    "cloud-config.service": "cloud-init.target",
    "cloud-final.service": "cloud-init.target",
    "cloud-init-hotplugd.socket": "cloud-config.target",
}
"""The units of cloud-init 25.1 in Debian 13, and the target that each is wanted by; its files lie below /usr/lib."""


def test_the_stages_of_trixies_cloud_init_are_enabled_where_they_say(
    squashfs: Squashfs, helper: Path, tmp_path: Path
) -> None:
    entries = tuple(
        Entry(f"/usr/lib/systemd/system/{unit}", content=f"[Install]\nWantedBy={target}\n".encode())
        for unit, target in TRIXIE.items()
    )
    debs = written(tmp_path, Deb("cloud-init", "25.1.4-1+deb13u1", entries=entries))
    tree = build_overlay(squashfs, debs, helper, scratch=tmp_path / "scratch")
    for unit, target in TRIXIE.items():
        assert tree.nodes[f"/etc/systemd/system/{target}.wants/{unit}"].target == f"/usr/lib/systemd/system/{unit}"


def test_the_generator_decides_whether_cloud_init_runs(overlay: Tree) -> None:
    assert "/etc/systemd/system/multi-user.target.wants/cloud-init.target" not in overlay.nodes
    assert "/usr/lib/systemd/system-generators/cloud-init-generator" in overlay.nodes


def test_without_a_generator_cloud_init_is_started_with_the_system(squashfs: Squashfs, tmp_path: Path) -> None:
    tree = built(squashfs, tmp_path, Entry("/lib/systemd/system/cloud-init.target", content=b"[Unit]\n"))
    assert "/etc/systemd/system/multi-user.target.wants/cloud-init.target" in tree.nodes


def test_the_helper_is_the_one_given(overlay: Tree, helper: Path) -> None:
    assert content(overlay, HELPER) == helper.read_bytes()


def test_growing_is_enabled_and_can_run(overlay: Tree) -> None:
    assert f"/etc/systemd/system/multi-user.target.wants/{GROW_UNIT}" in overlay.nodes
    assert overlay.nodes[GROW_PROGRAM].mode == 0o755
    assert f"ExecStart={GROW_PROGRAM}\n" in content(overlay, f"/usr/lib/systemd/system/{GROW_UNIT}").decode()


def test_the_datasources_stand_on_one_line(overlay: Tree) -> None:
    text = content(overlay, CONFIGURATION).decode()
    assert "\ndatasource_list: [ NoCloud, ConfigDrive, Hetzner, None ]\n" in text


def test_cloud_init_leaves_to_vyos_what_is_vyos(overlay: Tree) -> None:
    configuration = yaml.safe_load(content(overlay, CONFIGURATION))
    listed = [item for stage in ("init", "config", "final") for item in configuration[f"cloud_{stage}_modules"]]
    modules = [item if isinstance(item, str) else item[0] for item in listed]
    assert not {"users_groups", "ssh", "set_passwords", "set_hostname", "ntp", "growpart", "resizefs"} & set(modules)
    assert {"vyos", "runcmd", "write_files", "scripts_user"} <= set(modules)
    assert configuration["network"] == {"config": "disabled"}
    assert configuration["users"] == ["default"]
    assert configuration["system_info"]["default_user"]["lock_passwd"] is True


def test_no_identity_and_no_password_is_in_the_overlay(overlay: Tree) -> None:
    for path in overlay.nodes:
        assert "ssh_host_" not in path
        assert path not in ("/etc/machine-id", "/etc/shadow", "/etc/passwd")
    assert b"password" not in content(overlay, CONFIGURATION).replace(b"Nobody has a password", b"")


def test_an_iso_that_holds_everything_still_gets_what_is_ours(
    squashfs: Squashfs, helper: Path, tmp_path: Path
) -> None:
    tree = build_overlay(squashfs, {}, helper, scratch=tmp_path / "scratch")
    assert {HELPER, CONFIGURATION, GROW_PROGRAM} <= set(tree.nodes)
    assert "/var/lib/dpkg/status" not in tree.nodes


def test_a_package_that_the_squashfs_holds_is_refused(squashfs: Squashfs, helper: Path, tmp_path: Path) -> None:
    debs = written(tmp_path, Deb("base-files", "12.5"))
    with pytest.raises(BadPackage, match="base-files is already in the squashfs"):
        build_overlay(squashfs, debs, helper, scratch=tmp_path / "scratch")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Entry("/etc/hostname", "directory"), "a directory is to be added at /etc/hostname, where a file stands"),
        (Entry("/usr/sbin", content=b"x"), "a file is to be added at /usr/sbin, where a directory stands"),
        (Entry("/lib", "symlink", target="/opt/lib"), "a symlink is to be added at /lib, where a symlink stands"),
        (Entry("/lib", content=b"x"), "a file is to be added at /lib, where a symlink stands"),
        (Entry("/usr/bin/x", "hardlink", target="/usr/bin/nothing"), "is no file"),
    ],
)
def test_a_package_that_does_not_fit_is_refused(entry: Entry, why: str, squashfs: Squashfs, tmp_path: Path) -> None:
    with pytest.raises(OverlayConflict, match=why):
        built(squashfs, tmp_path, entry)


def test_a_link_of_the_merged_usr_that_a_package_ships_too_is_left_to_the_squashfs(
    squashfs: Squashfs, tmp_path: Path
) -> None:
    assert "/lib" not in built(squashfs, tmp_path, Entry("/lib", "symlink", target="usr/lib")).nodes


def test_another_run_in_the_same_scratch_gives_the_same_tree(
    squashfs: Squashfs, debs: Mapping[str, Path], helper: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "leftover").mkdir(parents=True)
    first = build_overlay(squashfs, debs, helper, scratch=scratch).digest()
    assert build_overlay(squashfs, dict(reversed(list(debs.items()))), helper, scratch=scratch).digest() == first
    helper.write_text("# another\n")
    assert build_overlay(squashfs, debs, helper, scratch=scratch).digest() != first


PROGRAM = """
import os, sys
from pathlib import Path
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.squashfs import Squashfs
os.umask(0o077)
image, helper, scratch, *debs = map(Path, sys.argv[1:])
named = {path.name.split("_")[0]: path for path in debs}
print(os.getuid(), build_overlay(Squashfs(image), named, helper, scratch=scratch).digest())
"""
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_an_ordinary_user_gets_the_same_tree_as_root(
    overlay: Tree, squashfs: Squashfs, debs: Mapping[str, Path], helper: Path, open_directory: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("runs as an ordinary user already, who cannot become another")
    if subprocess.run([*NOBODY, sys.executable, "-c", "import yaml"], check=False).returncode != 0:
        pytest.skip("the virtual environment is not readable by other users")
    inputs = [Path(shutil.copy(path, open_directory)) for path in (squashfs.path, helper, *debs.values())]
    image, helper, *copied = inputs
    argv = [sys.executable, "-c", PROGRAM, image, helper, open_directory / "own scratch", *copied]
    odd = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "HOME": str(open_directory)}
    uid, digest = run([*NOBODY, *argv], env=odd, cwd=Path("/")).text.split()
    assert uid == "65534"
    assert digest == overlay.digest()
