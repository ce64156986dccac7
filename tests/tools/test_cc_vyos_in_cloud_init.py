import base64
import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hyops_assets.image.programs import ProgramFailed
from hyops_lab.lookalike.configtree import ConfigTree
from hyops_lab.miniature import saved_config
from tests.tools.cloud_init import PYTHON, Machine, make_site, unpacked_packages
from tests.tools.seeds import COMMANDS, SEEDS
from tests.tools.shapes import HASH, HETZNER, KEY, RELEASE

GOLDEN = Path(__file__).parent / "golden"
METADATA = "/hetzner/v1/metadata"
USER_DATA = "#cloud-config\n" + yaml.safe_dump({"vyos_config_commands": COMMANDS})

pytestmark = [
    pytest.mark.seconds,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Debian's own Python"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]


@pytest.fixture(scope="module")
def packages(cache: Path) -> Path:
    try:
        return unpacked_packages(cache)
    except ProgramFailed as error:
        pytest.skip(f"Debian's cloud-init cannot be downloaded: {error.message}")


@pytest.fixture(scope="module")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(packages, tmp_path_factory.mktemp("guest") / "site")


@pytest.fixture
def machine(packages: Path, site: Path, tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", packages, site)


@pytest.mark.parametrize("name", SEEDS)
def test_debians_cloud_init_gives_the_golden_configuration(machine, name):
    machine.seed(SEEDS[name])
    booted = machine.boot()
    assert booted.config == (GOLDEN / f"{name}.boot").read_text()
    assert booted.result["v1"]["errors"] == []
    assert ("nobody can log in, and SSH is off" in booted.console) == (name == "nothing")


def test_every_golden_configuration_has_its_seed():
    assert {path.stem for path in GOLDEN.iterdir()} == set(SEEDS)


def hetzner_metadata(**changes: object) -> dict[str, bytes]:
    document = {
        "availability-zone": "hel1-dc2",
        "hostname": "edge1",
        "instance-id": 4711,
        "local-ipv4": "",
        "network-config": HETZNER,
        "public-ipv4": "203.0.113.7",
        "public-keys": [KEY],
        "region": "eu-central",
        "vendor_data": "#cloud-config\npassword: from-the-vendor\n",
        **changes,
    }
    return {METADATA: yaml.safe_dump(document).encode(), f"{METADATA}/instance-id": b"4711"}


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text)),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_hetzners_datasource_crawls_its_metadata_and_gives_the_golden_configuration(machine, encode):
    user_data = {"/hetzner/v1/userdata": encode(USER_DATA.encode())}
    machine.serve(hetzner_metadata() | user_data, vendor="Hetzner", serial="4711")
    booted = machine.boot()
    assert booted.result["v1"] == {"datasource": "DataSourceHetzner", "errors": []}
    assert booted.config == (GOLDEN / "hetzner.boot").read_text()


def test_hetzners_subnet_without_a_type_and_user_data_in_base64_give_the_same(machine):
    device = HETZNER["config"][0]
    untyped = [{key: value for key, value in subnet.items() if key != "type"} for subnet in device["subnets"]]
    network = {"version": 1, "config": [{**device, "subnets": untyped}]}
    user_data = {"/hetzner/v1/userdata": base64.b64encode(USER_DATA.encode())}
    machine.serve(hetzner_metadata(**{"network-config": network}) | user_data, vendor="Hetzner", serial="4711")
    assert machine.boot().config == (GOLDEN / "hetzner.boot").read_text()


def test_hetzners_metadata_without_a_network_is_reported_and_keys_arrive(machine):
    user_data = {"/hetzner/v1/userdata": b""}
    machine.serve(hetzner_metadata(**{"network-config": None}) | user_data, vendor="Hetzner", serial="4711")
    booted = machine.boot()
    # cloud-init raises the one up to 22, the other since.
    assert re.search(r"network: has an unexpected shape \((Exception|RuntimeError)\)", booted.errors)
    assert "public-keys admin@example.net {" in booted.config


def test_a_bad_line_shows_on_the_console_and_in_result_json_and_the_rest_is_there(machine):
    lines = ["set system host-nam 'x'", "set system host-name 'good'"]
    user_data = "#cloud-config\n" + yaml.safe_dump({"vyos_config_commands": lines})
    machine.seed({"meta-data": "instance-id: i-1\n", "user-data": user_data})
    booted = machine.boot()
    said = "vyos_config_commands, line 1: VyOS has no such node below 'system'"
    assert said in booted.console
    assert said in booted.errors
    assert 'host-name "good"' in booted.config


def test_a_second_boot_of_the_same_instance_leaves_the_owners_changes(machine):
    machine.seed(SEEDS["keys-only"])
    first = machine.boot()
    config = machine.root / "opt/vyatta/etc/config/config.boot"
    changed = first.config.replace('host-name "vyos"', 'host-name "changed"')
    config.write_text(changed)
    assert machine.boot().config == changed


def test_a_seed_that_is_gone_leaves_a_configured_guest_as_it_is(machine):
    machine.seed(SEEDS["proxmox"])
    first = machine.boot()
    machine.seed({})
    second = machine.boot()
    assert second.result["v1"]["datasource"] != first.result["v1"]["datasource"]
    assert second.config == first.config


def test_an_owners_whole_configuration_wins_as_in_vyos_own_order(machine):
    """VyOS runs its module, write_files and the commands in this order; here write_files is first."""
    owned = saved_config(RELEASE).replace('host-name "vyos"', 'host-name "owned"')
    owned = owned.replace(owned.split('encrypted-password "')[1].split('"')[0], HASH)
    said = {
        "write_files": [{"path": "/opt/vyatta/etc/config/config.boot", "content": owned}],
        "hostname": "from-user-data",
        "ssh_authorized_keys": [KEY],
        "vyos_config_commands": ["set system time-zone UTC"],
    }
    meta = "instance-id: i-1\nlocal-hostname: from-metadata\n"
    network = yaml.safe_dump({"version": 2, "ethernets": {"eth0": {"dhcp4": True}}})
    machine.seed({"meta-data": meta, "network-config": network, "user-data": "#cloud-config\n" + yaml.safe_dump(said)})
    booted = machine.boot()
    assert booted.result["v1"]["errors"] == []
    expected = ConfigTree(owned)
    expected.set(["system", "time-zone"], value="UTC")
    assert sorted(ConfigTree(booted.config).to_commands().splitlines()) == sorted(expected.to_commands().splitlines())


def test_another_instance_id_replaces_what_the_formers_metadata_wrote(machine):
    for number in (1, 2):
        subnet = {"type": "static", "address": f"192.0.2.{number}0/24", "gateway": f"192.0.2.{number}"}
        network = {"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": [subnet]}]}
        meta = {"meta-data": f"instance-id: i-{number}\n", "user-data": ""}
        machine.seed({**meta, "network-config": yaml.safe_dump(network)})
        booted = machine.boot()
        assert booted.result["v1"]["errors"] == []
    assert 'address "192.0.2.20/24"' in booted.config
    assert "next-hop 192.0.2.2 {" in booted.config
    assert "192.0.2.10" not in booted.config
    assert "192.0.2.1 " not in booted.config
