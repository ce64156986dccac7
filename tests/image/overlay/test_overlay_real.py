"""The overlay made of Debian's real packages: needs a Debian host of the suite, and its mirror."""

import json
import shutil
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.dpkg import installed, suite_of
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.overlay.apt import SourceUnreachable
from hyops_assets.image.overlay.overlay import CONFIGURATION, build_overlay
from hyops_assets.image.overlay.packages import fetch, resolve
from hyops_assets.image.overlay.sources import NoSource, host_sources
from hyops_assets.image.programs import run
from hyops_assets.image.sbom import Subject, sbom
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.image.squashfs import Squashfs
from tests.conftest import LOOKALIKE_RELEASE
from tests.image.overlay.effective import lay_over

pytestmark = pytest.mark.slow

HOST_STATUS = Path("/var/lib/dpkg/status")
WANTED = ["cloud-init", "qemu-guest-agent", "cloud-guest-utils"]
PYTHON = Path("/usr/bin/python3")
READ_CONFIGURATION = """
import json, sys
from cloudinit.config.schema import validate_cloudconfig_schema
from cloudinit.util import load_yaml, read_conf_with_confd
root = sys.argv[1]
# Newer releases have a schema of what users write alone: these belong to an image's own configuration.
own = {"datasource_list", "network", "system_info", "vyos_config_options"}
ours = load_yaml(open(root + sys.argv[2]).read())
validate_cloudconfig_schema({name: value for name, value in ours.items() if name not in own}, strict=True)
print(json.dumps(read_conf_with_confd(root + "/etc/cloud/cloud.cfg")))
"""


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """An overlay for a root that holds what this host holds, cloud-init and the agent apart."""
    if not HOST_STATUS.exists():
        pytest.skip("no Debian host")
    status = HOST_STATUS.read_bytes()
    own = tmp_path_factory.mktemp("real")
    try:
        sources = host_sources(suite_of(status))
        lock = resolve(status, WANTED, sources, own / "cache")
        debs = fetch(lock, sources, own / "cache")
    except (NoSource, SourceUnreachable) as error:
        pytest.skip(error.message)
    if "cloud-init" not in debs:
        pytest.skip("this host has cloud-init installed")
    root = own / "root"
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_bytes(status)
    run(["mksquashfs", root, own / "root.squashfs", "-noappend", "-quiet", "-no-progress"])
    helper = own / "cc_vyos.py"
    helper.write_text("")
    return build_overlay(Squashfs(own / "root.squashfs"), debs, helper, scratch=own / "scratch")


def test_debians_cloud_init_is_enabled_stage_by_stage(overlay: Tree) -> None:
    wanted = {Path(path).name for path in overlay.nodes if "/cloud-init.target.wants/" in path}
    assert wanted - {"cloud-init-hotplugd.socket"} == {f"{name}.service" for name in _stages()}


def _stages() -> list[str]:
    """The units of cloud-init's stages: since 24.3 one process serves all (Debian 13)."""
    if suite_of(HOST_STATUS.read_bytes()) == "bookworm":
        return ["cloud-init-local", "cloud-init", "cloud-config", "cloud-final"]
    return ["cloud-init-main", "cloud-init-local", "cloud-init-network", "cloud-config", "cloud-final"]


def test_nothing_of_debians_hides_the_merged_usr(overlay: Tree) -> None:
    assert not [path for path in overlay.nodes if path == "/lib" or path.startswith("/lib/")]


def test_udev_starts_debians_guest_agent(overlay: Tree) -> None:
    rule = overlay.nodes["/usr/lib/udev/rules.d/60-qemu-guest-agent.rules"].source
    assert rule is not None
    assert "qemu-guest-agent.service" in rule.read_text()


@pytest.mark.skipif(not PYTHON.exists(), reason="needs Debian's own Python")
def test_the_real_cloud_init_accepts_our_configuration_and_lets_it_win(overlay: Tree, tmp_path: Path) -> None:
    for path, node in overlay.nodes.items():
        if node.source is not None and path.startswith(("/etc/cloud/", "/usr/lib/python3/")):
            at = tmp_path / path.lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(node.source, at)
    environment = {"PYTHONPATH": str(tmp_path / "usr/lib/python3/dist-packages")}
    read = json.loads(run([PYTHON, "-c", READ_CONFIGURATION, tmp_path, CONFIGURATION], env=environment).text)
    assert read["datasource_list"] == ["NoCloud", "ConfigDrive", "Hetzner", "None"]
    assert read["cloud_config_modules"] == [["vyos", "once-per-instance"], "runcmd"]
    assert "growpart" not in read["cloud_init_modules"]
    assert read["system_info"]["default_user"]["name"] == "vyos"


@pytest.fixture(scope="module")
def lookalike_guest(lookalike: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """dpkg's database of the look-alike with the real packages added, their files, and their names."""
    own = tmp_path_factory.mktemp("guest")
    opened = open_iso(lookalike, release=LOOKALIKE_RELEASE, scratch=own)
    status = opened.squashfs.read("/var/lib/dpkg/status")
    sources = host_sources(suite_of(status))
    lock = resolve(status, WANTED, sources, cache / "packages")
    debs = fetch(lock, sources, cache / "packages")
    tree = build_overlay(opened.squashfs, debs, canonical_helper(), scratch=own / "overlay")
    links = [path for path in ("/bin", "/lib", "/lib64", "/sbin") if opened.squashfs.exists(path)]
    root = own / "root"
    opened.squashfs.extract(["/var/lib/dpkg", *links], root)
    lay_over(tree, root)
    return root, set(debs)


def test_dpkg_finds_the_real_packages_installed_whole_and_nothing_wrong(
    lookalike_guest: tuple[Path, set[str]],
) -> None:
    root, added = lookalike_guest
    assert run(["dpkg", f"--root={root}", "--audit"]).text == ""
    assert run(["dpkg", f"--root={root}", "--verify", *sorted(added)]).text == ""
    query = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show"]
    shown = run([*query, "--showformat=${Package} ${db:Status-Abbrev}\n", *sorted(added)]).text
    assert set(shown.splitlines()) == {f"{name} ii " for name in added}


def test_the_bill_of_the_real_packages_is_valid_and_whole(lookalike_guest: tuple[Path, set[str]]) -> None:
    root, added = lookalike_guest
    status = (root / "var/lib/dpkg/status").read_bytes()
    bill = sbom(status, Subject("vyos-1.5", LOOKALIKE_RELEASE, LOOKALIKE_RELEASE, "a" * 64, "b" * 64, "x.iso", 1))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    names = {component["name"] for component in json.loads(bill)["components"]}
    assert names == set(installed(status)) >= added
