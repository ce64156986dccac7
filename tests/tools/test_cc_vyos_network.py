import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.shapes import HETZNER, KEY, PROXMOX


@pytest.mark.parametrize("with_type", [True, False])
def test_hetzners_ipv6_gateway_becomes_an_ipv6_default_route(guest, with_type):
    guest.network = HETZNER
    if not with_type:
        subnet = {key: value for key, value in HETZNER["config"][0]["subnets"][1].items() if key != "type"}
        first = HETZNER["config"][0]["subnets"][0]
        guest.network = {"version": 1, "config": [{**HETZNER["config"][0], "subnets": [first, subnet]}]}
    assert guest.boot() == []
    assert "set protocols static route6 ::/0 next-hop fe80::1 interface 'eth0'" in guest.commands
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands
    assert "set interfaces ethernet eth0 address '2a01:4f8:beef:beef::1/64'" in guest.commands
    assert "set interfaces ethernet eth0 hw-id '96:00:00:08:19:da'" in guest.commands
    assert not any("0.0.0.0/0" in line for line in guest.commands)
    assert sum("name-server" in line for line in guest.commands) == 4


def test_proxmox_dual_stack_keeps_both_default_routes(guest):
    guest.network = PROXMOX
    assert guest.boot() == []
    assert "set protocols static route 0.0.0.0/0 next-hop 192.0.2.1" in guest.commands
    assert "set protocols static route6 ::/0 next-hop 2001:db8::1" in guest.commands
    assert "set interfaces ethernet eth0 address '192.0.2.10/24'" in guest.commands
    assert "set system name-server '192.0.2.53'" in guest.commands
    assert "set system domain-search 'example.net'" in guest.commands
    assert "ethernet eth0 {" in guest.text
    assert "route6 ::/0 {" in guest.text


def test_slaac_is_autoconf(guest):
    guest.network = {
        "version": 1,
        "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "ipv6_slaac"}]}],
    }
    guest.boot()
    assert "set interfaces ethernet eth0 ipv6 address autoconf" in guest.commands


def test_version_2_with_a_gateway_on_the_link(guest):
    guest.network = {
        "version": 2,
        "ethernets": {
            "eth0": {
                "match": {"macaddress": "96:00:00:08:19:da"},
                "addresses": ["203.0.113.7/32", "2001:db8::7/64"],
                "routes": [{"to": "default", "via": "172.31.1.1"}, {"to": "::/0", "via": "fe80::1"}],
                "nameservers": {"addresses": ["192.0.2.53"]},
            }
        },
    }
    assert guest.boot() == []
    assert "set protocols static route 172.31.1.1/32 interface eth0" in guest.commands
    assert "set protocols static route 0.0.0.0/0 next-hop 172.31.1.1" in guest.commands
    assert "set protocols static route6 ::/0 next-hop fe80::1 interface 'eth0'" in guest.commands


def test_a_vlan_stands_below_its_device(guest):
    vlan = {"type": "vlan", "name": "eth0.100", "vlan_link": "eth0", "vlan_id": 100, "subnets": [{"type": "dhcp"}]}
    guest.network = {"version": 1, "config": [vlan]}
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 vif 100 address 'dhcp'" in guest.commands


def test_a_device_is_found_by_its_hardware_address(guest):
    (guest.root / "net" / "eth1").mkdir(parents=True)
    (guest.root / "net" / "eth1" / "address").write_text("bc:24:11:aa:bb:cc\n")
    guest.network = PROXMOX
    assert guest.boot() == []
    assert "set interfaces ethernet eth1 address '192.0.2.10/24'" in guest.commands


def test_without_a_network_configuration_eth0_asks_by_dhcp(guest):
    guest.network = None
    guest.boot()
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands


def test_the_modules_own_option_decides_over_cloud_inits_network_key(guest):
    guest.network = PROXMOX
    guest.boot(network={"config": "disabled"}, vyos_config_options={"network_config": "enabled"})
    assert any("192.0.2.10/24" in line for line in guest.commands)
    (guest.root / "config" / "config.boot").unlink()
    guest.boot(network={"config": "disabled"})
    assert not any("192.0.2.10/24" in line for line in guest.commands)


def test_an_odd_network_configuration_is_reported_and_keys_still_arrive(guest):
    guest.keys = [KEY]
    guest.network = {"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "static"}]}]}
    problems = guest.boot()
    assert problems == ["network, subnet 1 of eth0: 'address' is missing"]
    assert any("public-keys" in line for line in guest.commands)


def test_a_seed_that_was_taken_away_gives_no_address_to_a_configured_router(guest):
    guest.network = PROXMOX
    guest.boot(ssh_authorized_keys=[KEY])
    before = guest.text
    guest.network = None
    assert guest.boot() == []
    assert guest.text == before


def test_dhcp_for_ipv6_and_the_servers_of_version_2(guest):
    guest.network = {
        "network": {
            "version": 2,
            "ethernets": {"eth0": {"dhcp4": True, "dhcp6": True, "accept-ra": True, "mtu": 1400, "optional": True}},
            "vlans": {"v7": {"id": 7, "link": "eth0", "addresses": ["192.0.2.1/24"]}},
        }
    }
    assert guest.boot() == []
    expected = {
        "address 'dhcp'",
        "address 'dhcpv6'",
        "ipv6 address autoconf",
        "mtu '1400'",
        "vif 7 address '192.0.2.1/24'",
    }
    assert {f"set interfaces ethernet eth0 {line}" for line in expected} <= set(guest.commands)


def test_dhcp_for_ipv6_of_version_1(guest):
    guest.network = device_1({"type": "dhcp4"}, {"type": "dhcp6"})
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 address 'dhcpv6'" in guest.commands


def test_a_vlan_stands_below_a_device_that_has_another_identifier(guest):
    guest.network = {
        "version": 2,
        "ethernets": {"uplink": {"match": {"macaddress": "BC:24:11:AA:BB:CC"}, "set-name": "eth3"}},
        "vlans": {"v7": {"id": 7, "link": "uplink", "dhcp4": True}},
    }
    assert guest.boot() == []
    assert "set interfaces ethernet eth3 hw-id 'bc:24:11:aa:bb:cc'" in guest.commands
    assert "set interfaces ethernet eth3 vif 7 address 'dhcp'" in guest.commands


def test_a_metric_is_a_distance(guest):
    route = {"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "metric": 20}
    guest.network = device_1({"type": "static", "address": "192.0.2.9/24", "routes": [route]})
    assert guest.boot() == []
    assert "set protocols static route 198.51.100.0/24 next-hop 192.0.2.1 distance '20'" in guest.commands


def device_1(*subnets):
    return {"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": list(subnets)}]}


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"version": 3}, "version 3 is neither 1 nor 2"),
        ("none of that", "unexpected shape"),
        ({"version": 1, "config": [{"type": "bond", "name": "bond0"}]}, "entry 1: bond bond0 is not supported"),
        ({"version": 1, "config": ["eth0"]}, "entry 1: has an unexpected shape"),
        ({"version": 1, "config": [{"type": "physical", "name": "ens18"}]}, "no Ethernet device ens18"),
        (device_1({"type": "manual"}), "subnet 1 of eth0: type manual is not supported"),
        (device_1({"type": "static", "address": "192.0.2.1"}), "192.0.2.1 has no prefix"),
        (device_1({"type": "static", "address": "192.0.2.1/33"}), "subnet 1 of eth0: has an unexpected shape"),
        (device_1({"type": "dhcp", "dhcp_client_id": "x"}), "not supported: dhcp_client_id"),
        (
            {"version": 1, "config": [{"type": "route", "destination": "::/0", "gateway": "fe80::1"}]},
            "nothing says on which device",
        ),
        (
            {"version": 1, "config": [{"type": "route", "destination": "0.0.0.0/0", "gateway": "fe80::1"}]},
            "cannot serve 0.0.0.0/0",
        ),
        (
            {"version": 1, "config": [{"type": "route", "destination": "::/0", "gateway": "::1", "metric": 1024}]},
            "no distance 1024",
        ),
        ({"version": 2, "bonds": {"bond0": {}}}, "not supported: bonds"),
        ({"version": 2, "ethernets": {"eth0": {"link-local": ["ipv6"]}}}, "eth0: not supported: link-local"),
        ({"version": 2, "vlans": {"v7": {"id": 7, "link": "bond0"}}}, "v7: there is no Ethernet device bond0"),
        *(
            ({"version": 2, "ethernets": {"eth0": {"match": {"macaddress": mac}}}}, "is no hardware address")
            for mac in ("banana", "00:11", "96:00:00:08:19:dg", '96:00:00:08:19:da"')
        ),
        ({"version": 2, "vlans": {"v": {"id": 4095, "link": "eth0"}}}, "v: 4095 is not from 0 to 4094"),
        ({"version": 2, "ethernets": {"eth0": {"mtu": 10**9}}}, "eth0: 1000000000 is not from 68 to 16000"),
        (device_1({"type": "static", "address": "fe80::1%eth0 x/64"}), "names a zone"),
        (device_1({"type": "static", "address": "fe80::2/64", "gateway": "fe80::1%eth0"}), "names a zone"),
        (device_1({"type": "dhcp", "dns_nameservers": ["fe80::1%eth0"]}), "names a zone"),
    ],
)
def test_what_is_not_supported_is_reported_and_keys_still_arrive(guest, shape, why):
    guest.network = shape
    (problem,) = guest.boot(ssh_authorized_keys=[KEY])
    assert problem.startswith("network")
    assert why in problem
    assert "public-keys" in guest.text


def test_one_bad_subnet_leaves_the_others(guest):
    guest.network = device_1({"type": "static"}, {"type": "dhcp"})
    assert len(guest.boot()) == 1
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands


WORDS = st.sampled_from(["eth0", "192.0.2.1/24", "::/0", "fe80::1", "static", "physical", "dhcp", "default", ""])
KEYS = [
    "type",
    "name",
    "subnets",
    "address",
    "gateway",
    "routes",
    "ethernets",
    "vlans",
    "version",
    "config",
    "mtu",
    "to",
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    network=ANYTHING
    | st.lists(ANYTHING).map(lambda entries: {"version": 1, "config": entries})
    | st.dictionaries(WORDS, ANYTHING).map(lambda devices: {"version": 2, "ethernets": devices, "vlans": devices}),
    users=ANYTHING,
    chpasswd=ANYTHING,
)
def test_whatever_the_data_is_the_metadatas_keys_arrive_and_vyos_can_read_the_result(guest, network, users, chpasswd):
    guest.config.unlink(missing_ok=True)
    guest.network = network
    guest.keys = [KEY]
    guest.boot(users=users, chpasswd=chpasswd)
    assert "public-keys admin@example.net {" in guest.text
    assert "set service ssh port '22'" in guest.commands
    assert "$6$hyopslab$" not in guest.text
