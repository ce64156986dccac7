"""dpkg itself, asked about the guest's effective files: the overlay laid over the squashfs it was made for."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.dpkg import installed, package_diff
from hyops_assets.image.overlay.maintainer_scripts import UNITS
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_lab.debs import Deb, Entry, write_deb
from hyops_lab.packages_contents import DEBS
from tests.image.overlay.effective import lay_over

STATUS = """\
Package: base-files
Essential: yes
Status: hold ok installed
Priority: required
Section: admin
Maintainer: Santiago Vila <sanvila@debian.org>
Architecture: amd64
Version: 12.4+deb12u5
Description: Debian base system miscellaneous files
 The fields below, and their order, are the vendor's.
X-Of-The-Vendor: kept

Package: python3-configobj
Status: deinstall ok config-files
Priority: optional
Section: python
Maintainer: a maintainer <s@example.net>
Architecture: all
Version: 4.0-1
Conffiles:
 /etc/configobj.conf d41d8cd98f00b204e9800998ecf8427e
Description: removed from the ISO, and remembered

Package: zlib1g
Status: install ok installed
Priority: required
Section: libs
Maintainer: Mark Brown <broonie@debian.org>
Architecture: amd64
Multi-Arch: same
Version: 1:1.2.13.dfsg-1
Description: compression library - runtime
"""
NUMA = Deb(
    "libnuma1",
    "2.0.16-1",
    architecture="amd64",
    relations=("Multi-Arch: same",),
    extra_control=(("triggers", "activate-noawait ldconfig\n"),),
    entries=(
        Entry("/usr/lib/x86_64-linux-gnu/libnuma.so.1.0.0", content=b"\x7fELF"),
        Entry("/usr/lib/x86_64-linux-gnu/libnuma.so.1", "symlink", target="libnuma.so.1.0.0"),
    ),
)
SCRIPTED = Deb(
    "scripted",
    "1",
    conffiles=("/etc/scripted.conf",),
    entries=(Entry("/etc/scripted.conf", content=b"x = 1\n"), Entry("/lib/scripted/data", content=b"data")),
    extra_control=(("postinst", "#!/bin/sh\ntouch /postinst-has-run\n"), ("preinst", "#!/bin/sh\nexit 1\n")),
)
ADDED = (*DEBS, NUMA, SCRIPTED)


@pytest.fixture(scope="module")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lower") / "root"
    for directory in ("usr/lib", "usr/bin", "usr/sbin", "etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
        (root / directory).mkdir(parents=True)
    for name in ("lib", "bin", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "var/lib/dpkg/info/format").write_text("1\n")
    for name in ("base-files", "zlib1g:amd64"):
        (root / f"var/lib/dpkg/info/{name}.list").write_text("/.\n/etc\n")
        (root / f"var/lib/dpkg/info/{name}.md5sums").write_text("")
    (root / "var/lib/dpkg/info/python3-configobj.list").write_text("/etc/configobj.conf\n")
    return root


@pytest.fixture(scope="module")
def overlay(lower: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    own = tmp_path_factory.mktemp("overlay")
    image = own / "root.squashfs"
    run(["mksquashfs", lower, image, "-noappend", "-quiet", "-no-progress", "-all-root"])
    for deb in ADDED:
        write_deb(deb, own / deb.file_name)
    (own / "cc_vyos.py").write_text("")
    debs = {deb.name: own / deb.file_name for deb in ADDED}
    return build_overlay(Squashfs(image), debs, own / "cc_vyos.py", scratch=own / "scratch")


@pytest.fixture
def guest(lower: Path, overlay: Tree, tmp_path: Path) -> Path:
    """The effective files, as a directory."""
    root = tmp_path / "guest"
    shutil.copytree(lower, root, symlinks=True)
    lay_over(overlay, root)
    return root


def dpkg(guest: Path, *arguments: str) -> str:
    return run(["dpkg", f"--root={guest}", *arguments], env={"COLUMNS": "200"}).text


def status_of(guest: Path) -> bytes:
    return (guest / "var/lib/dpkg/status").read_bytes()


def test_dpkg_lists_what_the_iso_had_and_what_was_added(guest: Path) -> None:
    lines = [line.split()[:3] for line in dpkg(guest, "--list").splitlines() if re.match("[a-z]{2} ", line)]
    found = {name.split(":")[0]: (state, version) for state, name, version in lines}
    assert found == {
        "base-files": ("hi", "12.4+deb12u5"),
        "zlib1g": ("ii", "1:1.2.13.dfsg-1"),
        **{deb.name: ("ii", deb.version) for deb in ADDED},
    }


def test_dpkg_finds_nothing_wrong_with_its_database(guest: Path) -> None:
    assert dpkg(guest, "--audit") == ""


def test_dpkg_finds_every_file_as_it_was_shipped(guest: Path) -> None:
    assert dpkg(guest, "--verify") == ""
    (guest / "usr/lib/scripted/data").write_bytes(b"edited")
    (guest / "usr/lib/systemd/system/cloud-init.service").unlink()
    found = dpkg_verify(guest)
    assert "??5?????? /lib/scripted/data" in found.replace("   ", " ")
    assert "missing" in found


def dpkg_verify(guest: Path) -> str:
    return run(["dpkg", f"--root={guest}", "--verify"], ok=(0, 1)).text


def test_dpkg_tells_whose_a_file_is_and_which_files_a_package_has(guest: Path) -> None:
    assert dpkg(guest, "--search", "/lib/systemd/system/cloud-init.service").startswith("cloud-init:")
    assert dpkg(guest, "--search", "/usr/lib/x86_64-linux-gnu/libnuma.so.1").startswith("libnuma1:amd64:")
    assert "/usr/sbin/qemu-ga" in dpkg(guest, "--listfiles", "qemu-guest-agent").splitlines()


def test_a_library_of_several_architectures_is_listed_by_its_architecture(guest: Path) -> None:
    info = guest / "var/lib/dpkg/info"
    assert (info / "libnuma1:amd64.list").exists()
    assert not (info / "libnuma1.list").exists()


def test_what_the_status_says_of_the_isos_packages_is_kept_byte_for_byte(guest: Path) -> None:
    status = status_of(guest).decode()
    assert STATUS[: STATUS.index("Package: python3-configobj")] in status
    assert STATUS[STATUS.index("Package: zlib1g") :] in status


def test_a_package_that_the_iso_had_removed_comes_anew(guest: Path) -> None:
    status = status_of(guest).decode()
    assert status.count("Package: python3-configobj\n") == 1
    assert "config-files" not in status
    assert "4.0-1" not in status


def test_a_conffile_is_known_by_its_digest(guest: Path) -> None:
    digest = hashlib.md5(b"x = 1\n").hexdigest()
    shown = run(["dpkg-query", f"--admindir={guest}/var/lib/dpkg", "--show", "--showformat=${Conffiles}", "scripted"])
    assert shown.text.strip() == f"/etc/scripted.conf {digest}"
    assert "scripted.conf" not in (guest / "var/lib/dpkg/info/scripted.md5sums").read_text()


def test_a_maintainers_script_is_kept_and_has_not_run(guest: Path, overlay: Tree) -> None:
    info = guest / "var/lib/dpkg/info"
    assert "postinst-has-run" in (info / "scripted.postinst").read_text()
    assert overlay.nodes["/var/lib/dpkg/info/scripted.postinst"].mode == 0o755
    assert not (guest / "postinst-has-run").exists()
    assert not Path("/postinst-has-run").exists()


def test_units_of_the_agent_and_cloud_init_are_files_that_dpkg_knows(guest: Path) -> None:
    for unit in ("cloud-init.service", "qemu-guest-agent.service"):
        assert (guest / UNITS.lstrip("/") / unit).exists()
        assert dpkg(guest, "--search", f"/lib/systemd/system/{unit}")


def test_the_difference_to_the_iso_is_what_was_added(guest: Path) -> None:
    diff = package_diff(installed(STATUS.encode()), installed(status_of(guest)))
    assert set(diff.added) == {deb.name for deb in ADDED}
    assert not diff.removed
    assert not diff.changed


def test_the_status_keeps_the_owner_and_mode_that_the_iso_gave_it(overlay: Tree, lower: Path) -> None:
    node = overlay.nodes["/var/lib/dpkg/status"]
    assert (node.mode, node.uid, node.gid) == ((lower / "var/lib/dpkg/status").stat().st_mode & 0o7777, 0, 0)
