"""Users, keys and passwords in the shapes that cloud-init takes them in."""

import logging
from typing import Any

import pytest

from tests.tools.shapes import HASH, KEY, PASSWORD

SECOND = KEY.replace("admin@example.net", "second")
DES = "abJnggxhB/yWI"


def keys(guest: Any) -> set[str]:
    """Return the names of the keys of each user."""
    return {line.split(" authentication ")[0].split()[-1] + " " + line.split()[-3] for line in guest.commands
            if " public-keys " in line and " key '" in line}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [f"{KEY}\nssh-rsa AAAAB3NzaC1yc2EAAAAA second", [f"{KEY}\r\n\r\nssh-rsa AAAAB3NzaC1yc2EAAAAA second\n"],
     {"a": KEY, "b": "ssh-rsa AAAAB3NzaC1yc2EAAAAA second"}],
)  # fmt: skip
def test_keys_may_be_a_text_of_lines_a_list_or_a_mapping(guest, given):
    assert guest.boot(ssh_authorized_keys=given, users=[{"name": "ops", "ssh_authorized_keys": given}]) == []
    assert keys(guest) == {f"{user} {name}" for user in ("vyos", "ops") for name in ("admin@example.net", "second")}


def test_keys_of_a_user_are_spelt_with_hyphens_too(guest):
    locked = {"name": "ops", "passwd": HASH, "lock-passwd": True, "ssh-authorized-keys": [KEY]}
    assert guest.boot(users=[locked]) == []
    assert keys(guest) == {"ops admin@example.net"}
    assert HASH not in guest.text


def test_the_default_users_own_entry_counts(guest):
    said = {"name": "netops", "lock_passwd": False, "passwd": HASH, "gecos": "Net", "ssh_authorized_keys": [KEY]}
    assert guest.boot(user=said) == []
    assert keys(guest) == {"netops admin@example.net"}
    base = "set system login user netops"
    assert {f"{base} full-name 'Net'", f"{base} authentication encrypted-password '{HASH}'"} <= set(guest.commands)


def test_a_password_ends_before_its_line_does(guest):
    """As with chpasswd(8): a block of YAML ends with a line break."""
    assert guest.boot(password=f"{PASSWORD}\n", users=[{"name": "ops", "hashed_passwd": f"{HASH}\n"}]) == []
    found = {line.split()[4]: line.split("'")[1] for line in guest.commands if " encrypted-password " in line}
    assert found["ops"] == HASH
    assert guest.module.hashed(PASSWORD, found["vyos"]) == found["vyos"]


def test_a_hash_of_the_oldest_kind_is_one_where_only_a_hash_can_stand(guest):
    users = [{"name": "ops", "hashed_passwd": DES}, {"name": "net", "plain_text_passwd": DES}]
    assert guest.boot(users=users) == []
    found = {line.split()[4]: line.split("'")[1] for line in guest.commands if " encrypted-password " in line}
    assert found["ops"] == DES
    assert found["net"].startswith("$6$")


def test_a_full_name_stands_on_one_line(guest):
    """useradd(8) takes no other, and VyOS then commits no login at all."""
    assert guest.boot(users=[{"name": "ops", "passwd": HASH, "gecos": "Ops\nTeam "}]) == []
    assert "set system login user ops full-name 'Ops Team'" in guest.commands


def test_well_known_keys_without_effect_are_said(guest, caplog):
    caplog.set_level(logging.WARNING)
    assert (
        guest.boot(timezone="Europe/Berlin", ntp={"servers": ["192.0.2.123"]}, packages=[], package_upgrade=True) == []
    )
    assert "without effect here, vyos_config_commands say it: ntp, timezone" in caplog.text
    assert "package_upgrade" not in caplog.text
