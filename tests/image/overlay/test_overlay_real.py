"""The overlay made of Debian's real packages: needs a Debian host of the suite, and its mirror."""

import json
import shutil
from pathlib import Path

import pytest

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.overlay.apt import SourceUnreachable
from hyops_assets.image.overlay.overlay import CONFIGURATION, build_overlay
from hyops_assets.image.overlay.packages import fetch, host_sources, resolve
from hyops_assets.image.overlay.sources import NoSource
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs

pytestmark = pytest.mark.slow

HOST_STATUS = Path("/var/lib/dpkg/status")
WANTED = ["cloud-init", "qemu-guest-agent", "cloud-guest-utils"]
PYTHON = Path("/usr/bin/python3")
READ_CONFIGURATION = """
import json, sys
from cloudinit.config.schema import validate_cloudconfig_schema
from cloudinit.util import load_yaml, read_conf_with_confd
root = sys.argv[1]
validate_cloudconfig_schema(load_yaml(open(root + sys.argv[2]).read()), strict=True)
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
        sources = host_sources("bookworm")
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
    stages = {f"{name}.service" for name in ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")}
    assert wanted == stages | {"cloud-init-hotplugd.socket"}


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
