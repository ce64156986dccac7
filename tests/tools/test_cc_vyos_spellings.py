"""Names, and network configuration, in the spellings that generators and people give them."""

import pytest


def test_a_key_without_a_meaning_costs_a_device_of_version_2_no_hardware_address(guest):
    device = {"match": {"macaddress": "02:00:00:00:00:01"}, "macaddress": "02:00:00:00:00:09", "critical": True}
    vlan = {"id": 7, "link": "eth0", "macaddress": "02:00:00:00:00:07", "critical": True}
    guest.network = {"version": 2, "ethernets": {"eth0": device}, "vlans": {"v7": vlan}}
    assert guest.boot() == [f"network, {name}: not supported: critical" for name in ("eth0", "v7")]
    assert {
        "set interfaces ethernet eth0 mac '02:00:00:00:00:09'",
        "set interfaces ethernet eth0 vif 7 mac '02:00:00:00:00:07'",
    } <= set(guest.commands)


def test_lists_may_be_texts(guest):
    names = {"addresses": "192.0.2.53, 2001:DB8::53", "search": "example.net lab.example"}
    guest.network = {"version": 2, "ethernets": {"eth0": {"addresses": "192.0.2.5/24", "nameservers": names}}}
    assert guest.boot() == []
    assert {
        "set interfaces ethernet eth0 address '192.0.2.5/24'",
        "set system name-server '192.0.2.53'",
        "set system name-server '2001:db8::53'",
        "set system domain-search 'example.net'",
        "set system domain-search 'lab.example'",
    } <= set(guest.commands)


@pytest.mark.parametrize(
    ("network", "gateway", "route"),
    [("0.0.0.0", "192.0.2.1", "route 0.0.0.0/0"), ("::", "2001:db8::1", "route6 ::/0")],
)
def test_the_network_of_every_address_needs_no_mask(guest, network, gateway, route):
    guest.network = {"version": 1, "config": [{"type": "route", "network": network, "gateway": gateway}]}
    assert guest.boot() == []
    assert f"set protocols static {route} next-hop {gateway}" in guest.commands


@pytest.mark.parametrize(
    ("said", "host", "domain", "problems"),
    [
        ({"hostname": "edge.b_c.net"}, "edge", None, ["host name: 'b_c.net' is not a domain"]),
        ({"fqdn": "edge..net"}, "edge", None, ["host name: '.net' is not a domain"]),
        ({"hostname": f"edge.{'a' * 64}.net"}, "edge", None, [f"host name: '{'a' * 64}.net' is not a domain"]),
        ({"hostname": "edge_1.example.net"}, "vyos", None, ["host name: 'edge_1' is not one"]),
        ({"hostname": "kante-münchen"}, "vyos", None, ["host name: 'kante-münchen' is not one"]),
        ({"hostname": " edge7\n"}, "edge7", None, []),
        ({"hostname": 1234}, "1234", None, []),
        # The name is the one's, the domain the other's, as cloud-init has it.
        ({"hostname": "near", "fqdn": "far.example.net."}, "near", "example.net", []),
    ],
)
def test_a_domain_that_vyos_refuses_costs_no_host_name(guest, said, host, domain, problems):
    assert guest.boot(**said) == problems
    names = [line for line in guest.commands if line.startswith(("set system host-name", "set system domain-name"))]
    assert f"set system host-name '{host}'" in names
    assert [f"set system domain-name '{domain}'"] * bool(domain) == [line for line in names if "domain" in line]


def test_a_device_of_type_manual_is_there_without_an_address(guest):
    subnets = [{"type": "manual"}, {"type": "manual", "address": "192.0.2.5/24"}]
    guest.network = {"version": 1, "config": [{"type": "physical", "name": "eth3", "subnets": subnets}]}
    assert guest.boot() == ["network, subnet 2 of eth3: a subnet of type manual has no address"]
    assert "ethernet eth3 {" in guest.text
    assert "address" not in guest.text


def test_an_mtu_that_costs_vyos_the_whole_device_is_left_out(guest):
    """`verify_mtu_ipv6` and `verify_mtu_parent` of VyOS' configverify.py (3710c58) refuse the device at its commit."""
    ethernets = {"eth0": {"mtu": 1279, "dhcp4": True}, "eth1": {"mtu": 9000, "dhcp4": True}}
    vlans = {
        "v7": {"id": 7, "link": "eth0", "mtu": 1501, "addresses": ["192.0.2.5/24"]},
        "v8": {"id": 8, "link": "eth1", "mtu": "9000"},
    }
    guest.network = {"version": 2, "ethernets": ethernets, "vlans": vlans}
    assert guest.boot() == [
        "network, eth0: VyOS takes no MTU below 1280 where IPv6 is on: 1279 is left out",
        "network, eth0.7: its MTU is left out: that of eth0 is 1500",
    ]
    assert sorted(line for line in guest.commands if " mtu " in line) == [
        "set interfaces ethernet eth1 mtu '9000'",
        "set interfaces ethernet eth1 vif 8 mtu '9000'",
    ]
    assert "set interfaces ethernet eth0 vif 7 address '192.0.2.5/24'" in guest.commands


def test_netplans_longer_spellings_are_read(guest):
    addresses = [" 192.0.2.5/24 ", {"2001:db8::5/64": {"lifetime": 0}}, {"192.0.2.6/24": None}]
    routes = [{"to": "10.0.0.0/8", "scope": "link"}, {"to": "2001:db8:1::/48", "scope": "link"}, {"to": "10.9.0.0/16"}]
    guest.network = {"version": 2, "ethernets": {"eth0": {"addresses": addresses, "routes": routes}, "eth1": None}}
    assert guest.boot() == ["network, route 3 of eth0: 'via' is missing"]
    assert {
        "set interfaces ethernet eth0 address '192.0.2.5/24'",
        "set interfaces ethernet eth0 address '2001:db8::5/64'",
        "set interfaces ethernet eth0 address '192.0.2.6/24'",
        "set interfaces ethernet eth1",
        "set protocols static route 10.0.0.0/8 interface eth0",
        "set protocols static route6 2001:db8:1::/48 interface eth0",
    } <= set(guest.commands)


def test_what_stands_beside_an_address_is_reported(guest):
    addresses = [{"192.0.2.5/24": {"label": "eth0:1"}}]
    guest.network = {"version": 2, "ethernets": {"eth0": {"addresses": addresses}}}
    assert guest.boot() == ["network, eth0: not supported: label"]
    assert "set interfaces ethernet eth0 address '192.0.2.5/24'" in guest.commands
