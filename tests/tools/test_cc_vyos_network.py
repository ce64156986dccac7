import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.shapes import HASH, HETZNER, KEY, PROXMOX


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
            "no distance 1024: the route to ::/0 has none",
        ),
        ({"version": 2, "bonds": {"bond0": {}}}, "not supported: bonds"),
        ({"version": 2, "ethernets": {"eth0": {"link-local": ["ipv6"]}}}, "eth0: not supported: link-local"),
        ({"version": 2, "vlans": {"v7": {"id": 7, "link": "bond0"}}}, "v7: there is no Ethernet device bond0"),
        *(
            ({"version": 2, "ethernets": {"eth0": {"match": {"macaddress": mac}}}}, "is no hardware address")
            for mac in ("banana", "00:11", "96:00:00:08:19:dg", '96:00:00:08:19:da"')
        ),
        (
            {"version": 2, "vlans": {"v": {"id": 4095, "link": "eth0"}}},
            "VyOS takes no such name below 'interfaces ethernet eth0 vif'",
        ),
        (
            {"version": 2, "ethernets": {"eth0": {"mtu": 10**9}}},
            "eth0: VyOS refuses the value of 'interfaces ethernet eth0 mtu'",
        ),
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


@pytest.mark.seconds
@settings(deadline=None, max_examples=40)
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


# --- what else generators write ------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", ["no", "false", "off", "0", False, 0, None])
def test_a_boolean_written_as_a_text_is_one(guest, off):
    guest.network = {"version": 2, "ethernets": {"eth0": {"dhcp4": off, "dhcp6": off, "accept-ra": off}}}
    assert guest.boot() == []
    assert "dhcp" not in guest.text
    assert "autoconf" not in guest.text


@pytest.mark.parametrize("key", ["dhcp4", "dhcp6", "accept-ra"])
def test_a_text_that_is_no_boolean_is_reported_and_costs_its_own_key_only(guest, key):
    guest.network = {"version": 2, "ethernets": {"eth0": {"addresses": ["192.0.2.9/24"], key: "perhaps"}}}
    assert guest.boot() == [f"network, eth0: {key} is neither true nor false"]
    assert "192.0.2.9/24" in guest.text


def test_a_locked_password_may_be_said_as_a_text(guest):
    assert guest.boot(users=[{"name": "ops", "passwd": HASH, "lock_passwd": "true"}]) == []
    assert "user ops" not in guest.text


@pytest.mark.parametrize(("mask", "length"), [("ffff:ffff:ffff:ffff::", 64), ("::", 0), ("64", 64), (48, 48)])
def test_ipv6_netmasks_may_be_texts(guest, mask, length):
    route = {"network": "2001:db8:1::", "netmask": mask, "gateway": "2001:db8::1"}
    guest.network = device_1({"type": "static6", "address": "2001:db8::10", "netmask": mask, "routes": [route]})
    assert guest.boot() == []
    assert f"address '2001:db8::10/{length}'" in " ".join(guest.commands)
    assert f"route6 {'::' if not length else '2001:db8:1::'}/{length} next-hop 2001:db8::1" in " ".join(guest.commands)


@pytest.mark.parametrize("mask", ["255.0.255.0", "0.0.0.255", "ffff::ffff"])
def test_a_mask_with_holes_is_reported(guest, mask):
    address = "2001:db8::10" if ":" in mask else "192.0.2.10"
    guest.network = device_1({"type": "static", "address": address, "netmask": mask})
    assert guest.boot() == [f"network, subnet 1 of eth0: {mask} is no netmask"]


def test_a_vlan_of_openstack_keeps_its_addresses_and_its_hardware_address(guest):
    subnet = {"type": "static", "address": "192.0.2.10", "netmask": "255.255.255.0", "ipv4": True}
    vlan = {"type": "vlan", "name": "eth0.7", "vlan_link": "eth0", "vlan_id": 7, "mac_address": "FA:16:3E:00:00:01"}
    guest.network = {"version": 1, "config": [{**vlan, "mtu": None, "subnets": [subnet]}]}
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 vif 7 address '192.0.2.10/24'" in guest.commands
    assert "set interfaces ethernet eth0 vif 7 mac 'fa:16:3e:00:00:01'" in guest.commands


def test_a_metric_that_vyos_has_not_costs_the_metric_only(guest):
    route = {"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.1", "metric": 10000}
    guest.network = device_1({"type": "static", "address": "192.0.2.9/24", "routes": [route]})
    (problem,) = guest.boot()
    assert "VyOS has no distance 10000: the route to 198.51.100.0/24 has none" in problem
    assert "set protocols static route 198.51.100.0/24 next-hop 192.0.2.1" in guest.commands


@pytest.mark.parametrize("kind", ["physical", "vlan"])
def test_a_key_without_a_meaning_costs_nothing_else(guest, kind):
    entry = {"type": kind, "name": "eth0", "vlan_link": "eth0", "vlan_id": 7, "wakeonlan": True}
    entry = {key: value for key, value in entry.items() if kind == "vlan" or not key.startswith("vlan")}
    guest.network = {"version": 1, "config": [{**entry, "subnets": [{"type": "static", "address": "192.0.2.9/24"}]}]}
    assert guest.boot() == ["network, entry 1: not supported: wakeonlan"]
    assert "192.0.2.9/24" in guest.text


def test_one_setting_that_vyos_refuses_leaves_those_beside_it(guest):
    device = {
        "mtu": 20,
        "addresses": ["192.0.2.0/24", "192.0.2.9/24"],
        "nameservers": {"addresses": ["x", "192.0.2.53"]},
    }
    guest.network = {"version": 2, "ethernets": {"eth0": device}}
    assert len(guest.boot()) == 3
    assert "set interfaces ethernet eth0 address '192.0.2.9/24'" in guest.commands
    assert "set system name-server '192.0.2.53'" in guest.commands


def test_cloud_inits_own_notes_of_a_conversion_are_no_errors(guest):
    lo = {"type": "loopback", "name": "lo", "subnets": [{"type": "loopback", "dns_nameservers": ["192.0.2.53"]}]}
    subnet = {"type": "static", "address": "192.0.2.10/24", "broadcast": "192.0.2.255", "_orig_eni_name": "eth0"}
    guest.network = {"version": 1, "config": [lo, {"type": "physical", "name": "eth0", "subnets": [subnet]}]}
    assert guest.boot() == []
    assert "set system name-server '192.0.2.53'" in guest.commands
    assert "set interfaces ethernet eth0 address '192.0.2.10/24'" in guest.commands


def test_a_route_without_a_gateway_leaves_by_its_device(guest):
    route = {"network": "198.51.100.0/24", "gateway": "0.0.0.0", "metric": 7}
    guest.network = device_1({"type": "dhcp", "routes": [route]})
    assert guest.boot() == []
    assert "set protocols static route 198.51.100.0/24 interface eth0 distance '7'" in guest.commands
    assert "next-hop" not in guest.text


def test_a_route_without_gateway_and_device_is_reported(guest):
    guest.network = {"version": 1, "config": [{"type": "route", "destination": "10.0.0.0/8", "gateway": "0.0.0.0"}]}
    (problem,) = guest.boot()
    assert "nothing says on which device the gateway 0.0.0.0 is" in problem
    assert "next-hop" not in guest.text


def test_a_gateway_that_is_said_to_be_on_the_link_is_reached_there(guest):
    routes = [
        {"to": "0.0.0.0/0", "via": "172.31.1.1", "on-link": True},
        {"to": "::/0", "via": "2001:db8:ffff::1", "on-link": "true"},
    ]
    guest.network = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "routes": routes}}}
    assert guest.boot() == []
    assert "set protocols static route 172.31.1.1/32 interface eth0" in guest.commands
    assert "set protocols static route 0.0.0.0/0 next-hop 172.31.1.1" in guest.commands
    assert "set protocols static route6 ::/0 next-hop 2001:db8:ffff::1 interface 'eth0'" in guest.commands


@pytest.mark.parametrize("written", ["BC-24-11-AA-BB-CC", "bc:24:11:AA:bb:cc"])
def test_a_hardware_address_is_written_as_vyos_spells_it(guest, written):
    guest.network = {"version": 1, "config": [{"type": "physical", "name": "eth0", "mac_address": written}]}
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 hw-id 'bc:24:11:aa:bb:cc'" in guest.commands


@pytest.mark.parametrize("written", ['00:11"\n{', "00:11:22:33:44", 40271, "00:11:22:33:44:gg"])
def test_something_that_is_no_hardware_address_is_reported_and_not_written(guest, written):
    entry = {"type": "physical", "name": "eth0", "mac_address": written, "subnets": [{"type": "dhcp"}]}
    guest.network = {"version": 1, "config": [entry]}
    (problem,) = guest.boot()
    assert problem == f"network, eth0: {str(written)!r} is no hardware address"
    assert "hw-id" not in guest.text
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands


def test_a_password_that_ssh_does_not_take_is_said(guest, caplog):
    assert guest.boot(users=[{"name": "ops", "passwd": HASH}, {"name": "key", "ssh_authorized_keys": [KEY]}]) == []
    assert "SSH takes no passwords without `ssh_pwauth: true`: ops can log in at the console only" in caplog.text
