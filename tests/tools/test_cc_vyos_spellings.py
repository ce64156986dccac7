"""Network configuration in the spellings that generators and people give it."""

import pytest


def test_a_key_that_nobody_reads_costs_a_device_of_version_2_no_hardware_address(guest):
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
