"""What metadata wrote is replaced by what another instance's metadata says; what commands and people wrote stays."""

import json
from pathlib import Path

import pytest

from hyops_lab.lookalike.configtree import ConfigTree
from tests.tools.shapes import HASH, HETZNER, KEY, PASSWORD

OTHER_KEY = KEY.replace("FhYWFh ", "FhYWFi ")


def static(host: int, gateway: int, server: int) -> dict[str, object]:
    subnet = {"type": "static", "address": f"192.0.2.{host}/24", "gateway": f"192.0.2.{gateway}"}
    return {
        "version": 1,
        "config": [
            {"type": "physical", "name": "eth0", "subnets": [subnet]},
            {"type": "nameserver", "address": [f"192.0.2.{server}"]},
        ],
    }


def by_hand(guest, *lines: str) -> None:
    """A person's `set` lines, in VyOS' own shell."""
    tree = ConfigTree(guest.text)
    for line in lines:
        *path, value = line.split()
        tree.set(path, value=value)
        for depth in range(1, len(path)):
            if path[depth - 1] in ("ethernet", "user", "route", "next-hop"):
                tree.set_tag(path[:depth])
    guest.config.write_text(tree.to_string())


def test_another_instances_addresses_routes_and_name_servers_replace_the_formers(guest):
    guest.network = static(10, 1, 53)
    assert guest.boot() == []
    guest.network = static(20, 254, 54)
    assert guest.boot() == []
    said = " ".join(guest.commands)
    assert "192.0.2.20/24" in said
    assert "next-hop 192.0.2.254" in said
    assert "name-server '192.0.2.54'" in said
    assert not any(gone in said for gone in ("192.0.2.10/24", "next-hop 192.0.2.1 ", "192.0.2.53"))
    assert said.count("0.0.0.0/0") == 1


def test_dhcp_replaces_a_static_address(guest):
    guest.network = static(10, 1, 53)
    guest.boot()
    guest.network = {"version": 1, "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "dhcp"}]}]}
    assert guest.boot() == []
    assert "set interfaces ethernet eth0 address 'dhcp'" in guest.commands
    assert "192.0.2" not in guest.text


def test_hetzners_next_server_keeps_nothing_of_the_others_ipv6(guest):
    guest.network = HETZNER
    guest.boot()
    guest.network = json.loads(
        json.dumps(HETZNER).replace("beef:beef::1", "cafe:cafe::1").replace("08:19:da", "aa:bb:cc")
    )
    assert guest.boot() == []
    assert "beef" not in guest.text
    assert "96:00:00:08:19:da" not in guest.text
    assert "set interfaces ethernet eth0 address '2a01:4f8:cafe:cafe::1/64'" in guest.commands


def test_what_commands_wrote_stays(guest):
    guest.network = static(10, 1, 53)
    lines = [
        "set interfaces ethernet eth0 address 198.51.100.7/24",
        "set interfaces ethernet eth0 description uplink",
        # The same as metadata: from here on it is the command's.
        "set system name-server 192.0.2.53",
        "set protocols static route 0.0.0.0/0 next-hop 192.0.2.1 distance 5",
    ]
    assert guest.boot(vyos_config_commands=lines) == []
    guest.network = static(20, 254, 54)
    assert guest.boot() == []
    for kept in (
        "eth0 address '198.51.100.7/24'",
        "eth0 description 'uplink'",
        "name-server '192.0.2.53'",
        "distance '5'",
    ):
        assert any(kept in line for line in guest.commands), kept
    assert "192.0.2.10/24" not in guest.text


def test_what_people_changed_stays_and_that_is_said(guest, caplog):
    guest.boot(hostname="edge1", password=HASH)
    by_hand(guest, "system host-name core1")
    guest.boot(hostname="edge2", password=HASH)
    assert "set system host-name 'core1'" in guest.commands
    assert "'system host-name' was set by others since" in caplog.text


def test_what_was_not_changed_follows_the_metadata(guest):
    guest.boot(hostname="edge1.example.net", password=HASH, ssh_authorized_keys=[KEY])
    assert guest.boot(hostname="edge2", password=PASSWORD, ssh_authorized_keys=[OTHER_KEY]) == []
    assert "set system host-name 'edge2'" in guest.commands
    assert "example.net'" not in " ".join(line for line in guest.commands if "domain" in line)
    assert HASH not in guest.text
    assert KEY.split()[1] not in guest.text
    assert OTHER_KEY.split()[1] in guest.text


def test_a_host_name_that_vyos_refuses_leaves_the_former(guest):
    guest.boot(hostname="edge1")
    assert guest.boot(hostname="r") == ["host name: VyOS refuses the value of 'system host-name'"]
    assert "set system host-name 'edge1'" in guest.commands


def test_a_user_of_the_former_instance_goes_with_it(guest):
    guest.boot(users=[{"name": "ops", "passwd": HASH}])
    assert guest.boot(users=[{"name": "other", "passwd": HASH}]) == []
    assert "user ops" not in guest.text
    assert "user other" in guest.text


def test_metadata_that_says_nothing_of_a_part_leaves_it(guest):
    guest.network = static(10, 1, 53)
    guest.boot(hostname="edge1", password=HASH)
    before = guest.text
    guest.network = None
    assert guest.boot() == []
    assert guest.text == before


def test_a_network_that_is_switched_off_takes_metadatas_back(guest):
    guest.network = static(10, 1, 53)
    guest.boot()
    guest.boot(vyos_config_options={"network_config": "disabled"})
    assert "192.0.2" not in guest.text


def test_the_same_metadata_again_changes_nothing(guest):
    guest.network = static(10, 1, 53)
    guest.boot(hostname="edge1", password=HASH, ssh_authorized_keys=[KEY])
    before = guest.commands
    guest.boot(hostname="edge1", password=HASH, ssh_authorized_keys=[KEY])
    assert sorted(guest.commands) == sorted(before)


def test_the_default_configuration_is_not_pruned(guest):
    guest.network = {
        "version": 1,
        "config": [{"type": "loopback", "name": "lo", "subnets": [{"type": "static", "address": "192.0.2.1/32"}]}],
    }
    guest.boot()
    assert "set interfaces loopback lo address '192.0.2.1/32'" in guest.commands
    guest.network = static(10, 1, 53)
    guest.boot()
    assert "loopback lo {" in guest.text
    assert "192.0.2.1/32" not in guest.text


@pytest.mark.parametrize("content", ["", "[]", '{"parts": 7}', '{"parts": {"network": [1]}}', "\0"])
def test_a_ledger_that_cannot_be_read_is_said_and_stops_nothing(guest, caplog, content):
    guest.network = static(10, 1, 53)
    guest.boot()
    (guest.root / "config" / guest.module.LEDGER_NAME).write_text(content)
    guest.network = static(20, 254, 54)
    assert guest.boot() == []
    assert "cannot be read" in caplog.text
    assert "192.0.2.20/24" in guest.text


def test_the_ledger_is_readable_for_the_configurations_group_only(guest):
    guest.boot(password=HASH)
    assert (guest.root / "config" / guest.module.LEDGER_NAME).stat().st_mode & 0o777 == 0o660


class Killed(BaseException):
    """Ends the module as a power cut does."""


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_ended_after_any_of_its_writes_the_next_instance_still_replaces_the_formers(guest, monkeypatch, writes):
    guest.network = static(10, 1, 53)
    guest.boot()
    done = []

    def counted(path: Path, text: str) -> None:
        if len(done) == writes:
            raise Killed
        done.append(path)
        whole(path, text)

    whole = guest.module.write_whole
    monkeypatch.setattr(guest.module, "write_whole", counted)
    guest.network = static(20, 254, 54)
    with pytest.raises(Killed):
        guest.boot()
    monkeypatch.setattr(guest.module, "write_whole", whole)
    guest.network = static(30, 1, 55)
    assert guest.boot() == []
    assert not any(f"192.0.2.{former}/24" in guest.text for former in (10, 20))


def test_a_default_configuration_that_cannot_be_read_keeps_nothing_from_being_replaced(guest):
    guest.network = static(10, 1, 53)
    guest.boot(hostname="edge1")
    (guest.root / "config.boot.default").write_text("}\n")
    guest.network = static(20, 254, 54)
    assert guest.boot(hostname="edge2") == []
    assert "192.0.2.10/24" not in guest.text
    assert "set system host-name 'edge2'" in guest.commands
