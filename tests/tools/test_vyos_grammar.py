"""The look-alike's small schema, and everything that the module can emit, held against VyOS' own grammar."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_lab.lookalike import schema
from tests.tools.seeds import COMMANDS, SEEDS
from tests.tools.shapes import HASH, HETZNER, KEY, PROXMOX
from tests.tools.vyos_grammar import faults, fits, node_at

pytestmark = pytest.mark.seconds

CHECKOUT = Path(__file__).parents[2]
NEWER = {"system syslog local facility", "system syslog local facility * level"}
"""Of 2025: the grammar is of October 2024."""

SAMPLES = (
    *("", "r", "ab", "edge-1", "a.example.net", "-x", "x_y", "Ops: Team", "*", "!", HASH, "$2b$05$abc", "$y$j9T$a$b"),
    *("192.0.2.1", "192.0.2.0/24", "192.0.2.1/24", "192.0.2.1/32", "0.0.0.0/0", "::/0", "2001:db8::1/64", "fe80::1"),
    *("dhcp", "dhcpv6", "autoconf", "00:11:22:aa:bb:cc", "BC-24-11-00-00-01", '00:11"\n{', "0", "1", "68", "255"),
    *("256", "1500", "65535", "70000", "eth0", "eth0.100", "ens18", "lo", "ttyS0", "115200", "ssh-rsa", "ssh-ed25519"),
    *("throughput", "Europe/Berlin", KEY.split()[1], "a" * 300, "é"),
)


@pytest.mark.parametrize("path", [path for path in schema.NODES if path not in NEWER])
def test_the_lookalike_has_each_of_its_nodes_as_vyos_has_it(path: str) -> None:
    ours, theirs = schema.NODES[path], node_at(path.split())
    assert theirs is not None
    assert theirs.kind == ours.kind
    assert [one for one in SAMPLES if fits(ours, one)] == [one for one in SAMPLES if fits(theirs, one)]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_examples_give_is_what_vyos_takes(guest: Any, seed: str) -> None:
    said = SEEDS[seed]
    guest.network = yaml.safe_load(said["network-config"]) if "network-config" in said else None
    assert guest.boot(**yaml.safe_load(said.get("user-data", "{}"))) == []
    assert mended(guest.text) == []


def test_what_the_documents_show_is_what_vyos_takes(guest: Any) -> None:
    shown = {
        line.strip("- ")
        for page in [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md"), *CHECKOUT.glob("modules/**/*.y*ml")]
        for line in re.findall(
            r"^\s*- ((?:set|delete) (?:interfaces|protocols|service|system) .*)$", page.read_text(), re.M
        )
    }
    assert shown
    for line in sorted(shown | set(COMMANDS)):
        guest.config.unlink(missing_ok=True)
        problems = guest.boot(vyos_config_commands=[line])
        assert [problem for problem in problems if "VyOS has no such node" not in problem] == []
        assert mended(guest.text) == []


# --- generated metadata of all four datasources --------------------------------------------------------------------

V4 = st.ip_addresses(v=4).map(str)
V6 = st.ip_addresses(v=6).map(str)
LENGTH_4, LENGTH_6 = st.integers(0, 33), st.integers(0, 129)
MASK_4 = LENGTH_4 | st.sampled_from(["255.255.255.0", "255.255.255.255", "0.0.0.0", "255.0.255.0"])
MASK_6 = LENGTH_6 | st.sampled_from(["ffff:ffff:ffff:ffff::", "::", "ffff::ffff"])
NAME = st.sampled_from(["eth0", "eth1", "ens18", "lo", "uplink", "eth0.7", ""])
MAC = st.sampled_from(["96:00:00:08:19:DA", "BC-24-11-AA-BB-CC", '00:11"\n{', "", None, 7])
FLAG = st.sampled_from([True, False, "true", "no", "yes", "maybe", None, 0, 1])
NUMBER = st.sampled_from([None, 0, 1, 7, 20, 255, 256, 1024, 1279, 1500, 4094, 9000, 10000, 70000, "1400", "x"])
SERVERS = st.none() | st.lists(V4 | V6 | st.just("eth0"), max_size=2)
SEARCH = st.none() | st.lists(st.sampled_from(["example.net", "a b", "-x", "x_y.example"]), max_size=2)


def some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these keys, or none."""
    return st.fixed_dictionaries({}, optional=values)


ROUTE_1 = some(
    network=V4 | V6,
    destination=st.just("::/0"),
    netmask=MASK_4 | MASK_6,
    gateway=V4 | V6 | st.just("0.0.0.0"),
    metric=NUMBER,
)
SUBNET = some(
    type=st.sampled_from(["dhcp", "dhcp4", "dhcp6", "static", "static6", "ipv6_slaac", "manual", "loopback"]),
    address=V4 | V6 | st.builds("{}/{}".format, V4, LENGTH_4) | st.builds("{}/{}".format, V6, LENGTH_6),
    netmask=MASK_4 | MASK_6,
    gateway=V4 | V6 | st.just("fe80::1"),
    routes=st.lists(ROUTE_1, max_size=2),
    dns_nameservers=SERVERS,
    dns_search=SEARCH,
    broadcast=V4,
    _orig_eni_name=st.just("eth0"),
)
ENTRY = some(
    type=st.sampled_from(["physical", "vlan", "loopback", "nameserver", "route", "bond"]),
    name=NAME, mac_address=MAC, mtu=NUMBER, vlan_link=NAME, vlan_id=NUMBER,
    subnets=st.lists(SUBNET, max_size=3), address=SERVERS, search=SEARCH,
    destination=V4 | V6, netmask=MASK_4, gateway=V4 | V6, metric=NUMBER,
)  # fmt: skip
ADDRESS = st.builds("{}/{}".format, V4, LENGTH_4) | st.builds("{}/{}".format, V6, LENGTH_6)
DEVICE = some(
    match=some(macaddress=MAC, name=NAME),
    dhcp4=FLAG, dhcp6=FLAG, link=NAME, id=NUMBER, mtu=NUMBER, macaddress=MAC, gateway4=V4,
    gateway6=V6 | st.just("fe80::1"),
    addresses=st.lists(ADDRESS | st.builds(lambda one: {one: {"lifetime": 0}}, ADDRESS), max_size=3),
    routes=st.lists(
        some(to=st.sampled_from(["default", "::/0", "10.0.0.0/8"]), via=V4 | V6, metric=NUMBER, scope=st.just("link")),
        max_size=2,
    ),
    nameservers=some(addresses=SERVERS, search=SEARCH),
)  # fmt: skip
DEVICES = st.dictionaries(NAME, DEVICE, max_size=2)
NETWORK = (
    # ConfigDrive's and Hetzner's, and NoCloud's as Proxmox writes it; as NoCloud's of others; None's.
    st.lists(ENTRY, max_size=4).map(lambda entries: {"version": 1, "config": entries})
    | st.builds(lambda ethernets, vlans: {"version": 2, "ethernets": ethernets, "vlans": vlans}, DEVICES, DEVICES)
    | st.sampled_from([HETZNER, PROXMOX, None])
)
WORD = st.sampled_from(
    [
        "r",
        "edge1",
        "edge1.example.net",
        "edge.b_c.net",
        "a_b",
        "a\nb",
        "abJnggxhB/yWI",
        "Ops: Team",
        "ops",
        "$2b$05$abc",
        HASH,
        "$y$j9T$a$b",
        "plain",
        "",
    ]
)
KEYS = st.lists(
    st.sampled_from([KEY, f'from="192.0.2.1" {KEY}', f'restrict,command="a \\"b\\" {{c}}" {KEY}', f"x y {KEY}"]),
    max_size=2,
)
USER = some(
    name=WORD, gecos=WORD, hashed_passwd=WORD, passwd=WORD, plain_text_passwd=WORD, lock_passwd=FLAG,
    ssh_authorized_keys=KEYS,
)  # fmt: skip
USER_DATA = some(
    hostname=WORD, fqdn=WORD, user=WORD | USER, password=WORD, ssh_pwauth=FLAG, users=st.lists(USER, max_size=3),
    ssh_authorized_keys=KEYS, chpasswd=some(list=WORD, users=st.lists(USER, max_size=1)),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(networks=st.lists(NETWORK, min_size=1, max_size=2), said=st.lists(USER_DATA, min_size=2, max_size=2))
def test_whatever_a_datasource_says_the_configuration_is_one_that_vyos_takes(guest: Any, networks, said) -> None:
    """One after the other: another instance's metadata replaces the former's."""
    for path in guest.config.parent.iterdir():
        path.unlink()
    for network, user_data in zip(networks, said, strict=False):
        guest.network = network
        guest.boot(**user_data)
        assert mended(guest.text) == []


def mended(config: str) -> list[str]:
    """Return the faults of a configuration, but for what the default one has that is newer than the grammar."""
    return [fault for fault in faults(config) if fault != "no node system syslog local"]
