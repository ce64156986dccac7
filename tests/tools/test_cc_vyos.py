import inspect
import logging
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hyops_assets.image.shipped import canonical_helper
from hyops_lab.lookalike.configtree import ConfigTree
from hyops_lab.miniature import saved_config
from tests.tools.shapes import HASH, KEY, PASSWORD, PROXMOX, RELEASE

CHECKOUT = Path(__file__).parents[2]


def test_it_carries_what_hybridops_looks_for():
    text = canonical_helper().read_text()
    for marker in (
        "def apply_vyos_config_boot",
        "def apply_vyos_commands",
        "normalize_vyos_config_commands",
        "cfg.get('vyos_config_commands')",
        "parse_commands(vyos_command)",
        "config.delete_value(",
        "config.to_string()",
    ):
        assert marker in text


def test_it_runs_also_where_none_of_its_keys_is_given(cc_vyos):
    # With activate_by_schema_keys it would be skipped there, and vyos/vyos would stay.
    assert "activate_by_schema_keys" not in cc_vyos.meta
    assert cc_vyos.meta["frequency"] == cc_vyos.frequency == "once-per-instance"
    assert cc_vyos.meta["distros"] == cc_vyos.distros


def test_it_is_the_only_copy_in_the_tree():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    copies = [
        name
        for name in listed.stdout.split("\0")
        if Path(name).suffix not in (".md", ".boot") and is_copy(CHECKOUT / name)
    ]
    assert copies == [str(canonical_helper().relative_to(CHECKOUT))]


def is_copy(path: Path) -> bool:
    return path.is_file() and b"\ndef apply_vyos_config_boot(" in path.read_bytes()


def test_without_key_and_password_no_user_can_log_in_and_ssh_is_off(guest, caplog):
    assert guest.boot() == []
    assert not guest.module.lets_someone_in(guest.text)
    assert not any("ssh" in line for line in guest.commands)
    assert "nobody can log in" in caplog.text


def test_the_isos_default_login_is_disarmed_even_where_a_key_is_given(guest):
    guest.keys = [KEY]
    guest.boot()
    assert "set system login user vyos authentication encrypted-password '*'" in guest.commands
    assert "$6$" not in guest.text


def test_a_default_login_in_an_existing_configuration_is_disarmed(guest):
    (guest.root / "config" / "config.boot").write_text(saved_config(RELEASE))
    guest.boot()
    assert "$6$" not in guest.text


def test_an_owners_password_in_an_existing_configuration_stays(guest):
    default = saved_config(RELEASE)
    owned = default.replace(default.split('encrypted-password "')[1].split('"')[0], HASH)
    (guest.root / "config" / "config.boot").write_text(owned)
    guest.boot()
    assert HASH in guest.text


def test_blank_lines_and_comments_among_keys_are_none(guest):
    assert guest.boot(ssh_authorized_keys=f"# of the admins\n\n{KEY}\n") == []
    assert (
        "set system login user vyos authentication public-keys admin@example.net type 'ssh-ed25519'" in guest.commands
    )


def test_a_key_opens_ssh_without_passwords(guest):
    guest.keys = [KEY]
    assert guest.boot() == []
    assert "set service ssh port '22'" in guest.commands
    assert "set service ssh disable-password-authentication" in guest.commands
    base = "set system login user vyos authentication public-keys admin@example.net"
    assert f"{base} type 'ssh-ed25519'" in guest.commands
    assert any(line.startswith(f"{base} key 'AAAA") for line in guest.commands)


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 nonsense!",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh",
        f'from="192.0.2.1 {KEY}',
        f"from=192.0.2.1 {KEY}",
    ],
)
def test_something_that_is_no_key_is_reported(guest, line):
    (problem,) = guest.boot(ssh_authorized_keys=[line])
    assert problem.startswith("ssh key 1 of vyos: it is not a public key")
    assert "public-keys" not in guest.text


@pytest.mark.parametrize(
    "options",
    [
        "restrict",
        'from="192.0.2.1"',
        'no-pty,from="10.0.0.0/8,!10.0.0.1",permitopen="[2001:db8::1]:22"',
        'command="echo you may not",environment="A=b, c"',
    ],
)
def test_a_key_keeps_its_options(guest, options):
    """VyOS' system_login.py (3710c58) writes a quote into authorized_keys for `&quot;`."""
    assert guest.boot(ssh_authorized_keys=[f"{options} {KEY}"]) == []
    written = options.replace('"', "&quot;")
    base = "set system login user vyos authentication public-keys admin@example.net"
    assert f"{base} options '{written}'" in guest.commands
    assert f"{base} type 'ssh-ed25519'" in guest.commands


def test_a_key_whose_options_cannot_be_kept_is_not_there_at_all(guest):
    """It would open more than its owner said; and half a key costs VyOS every login."""
    (problem,) = guest.boot(ssh_authorized_keys=[f'command="a\\x07b" {KEY}'])
    assert problem.startswith("ssh key 1 of vyos: ")
    assert "public-keys" not in guest.text


def test_two_keys_of_one_comment_both_stay(guest):
    other = KEY.replace("FhYWFh ", "FhYWFi ")
    guest.boot(ssh_authorized_keys=[KEY, other])
    assert sum(" key '" in line for line in guest.commands) == 2


def test_a_hash_is_taken_as_it_is(guest):
    guest.boot(password=HASH)
    assert f"set system login user vyos authentication encrypted-password '{HASH}'" in guest.commands


def test_a_plain_password_never_stands_on_the_disk(guest):
    guest.boot(password="correct horse")
    assert "correct horse" not in guest.text
    stored = ConfigTree(guest.text).return_value(
        ["system", "login", "user", "vyos", "authentication", "encrypted-password"]
    )
    assert guest.module.hashed("correct horse", stored) == stored


def test_proxmox_user_names_the_default_user(guest):
    guest.boot(user="netadmin", ssh_authorized_keys=[KEY], users=["default"])
    assert any(line.startswith("set system login user netadmin authentication public-keys") for line in guest.commands)


def test_users_get_their_own_keys_and_passwords(guest):
    users = [
        "default",
        {"name": "ops", "passwd": HASH, "ssh_authorized_keys": [KEY]},
        {"name": "no", "passwd": HASH, "lock_passwd": True},
        {"name": "plain", "plain_text_passwd": "$6$in$fact", "gecos": "P Lain"},
    ]
    assert guest.boot(users=users) == []
    assert f"set system login user ops authentication encrypted-password '{HASH}'" in guest.commands
    assert not any(" user no " in line for line in guest.commands)
    assert "set system login user plain full-name 'P Lain'" in guest.commands
    assert "$6$in$fact" not in guest.text


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"groups": ["x"]}, "has a name"),
        ("bob", "has a name"),
        ({"name": "a b", "ssh_authorized_keys": [KEY]}, "cannot be a user's name"),
        ({"name": "root", "ssh_authorized_keys": [KEY]}, "root is the system's own user"),
        ({"name": "ops", "passwd": "not a hash"}, "not a hash"),
        ({"name": "ops", "hashed_passwd": "RANDOM"}, "known to nobody"),
        ({"name": "ops", "plain_text_passwd": "a\0b"}, "cannot be hashed"),
        ({"name": "ops", "ssh_import_id": ["gh:ops"]}, "not supported: ssh_import_id"),
        ({"name": "ops", "expiredate": "2030-01-01"}, "not supported: expiredate"),
    ],
)
def test_a_user_who_cannot_be_made_as_asked_is_reported(guest, entry, why):
    (problem,) = guest.boot(users=[entry])
    assert why in problem
    assert not guest.module.lets_someone_in(guest.text)


@pytest.mark.parametrize("locked", ["*", "!", "!!", f"!{HASH}"])
def test_a_locked_password_is_no_password(guest, locked):
    assert guest.boot(password=locked, users=[{"name": "ops", "hashed_passwd": locked}]) == []
    assert not guest.module.lets_someone_in(guest.text)
    assert "ssh" not in guest.text


def test_a_plain_password_may_begin_as_a_locked_one_does(guest):
    assert guest.boot(password="!correct horse") == []
    assert guest.module.lets_someone_in(guest.text)


def test_a_user_without_key_and_password_is_not_made_and_that_is_said(guest, caplog):
    assert guest.boot(users=[{"name": "ops", "groups": "sudo"}]) == []
    assert "ops has neither a key nor a password" in caplog.text
    assert "user ops" not in guest.text


def test_passwords_come_by_chpasswd_too(guest):
    given = {"list": f"vyos:{HASH}\n", "users": [{"name": "ops", "password": PASSWORD, "type": "text"}]}
    assert guest.boot(chpasswd=given) == []
    assert f"set system login user vyos authentication encrypted-password '{HASH}'" in guest.commands
    assert any("user ops authentication encrypted-password '$6$" in line for line in guest.commands)


def test_a_random_password_is_refused_because_no_user_would_know_it(guest):
    problems = guest.boot(chpasswd={"list": "vyos:RANDOM\n"})
    assert "known to nobody" in problems[0]
    assert not guest.module.lets_someone_in(guest.text)


@pytest.mark.parametrize(("given", "by_password"), [(False, False), ("unchanged", False), (True, True), ("yes", True)])
def test_password_logins_by_ssh_follow_ssh_pwauth(guest, given, by_password):
    guest.boot(password=HASH, ssh_pwauth=given)
    assert "set service ssh port '22'" in guest.commands
    assert ("set service ssh disable-password-authentication" not in guest.commands) == by_password


def test_host_name_and_domain_come_from_the_metadata(guest):
    guest.host = ("edge1.example.net", False)
    assert guest.boot() == []
    assert "set system host-name 'edge1'" in guest.commands
    assert "set system domain-name 'example.net'" in guest.commands


def test_a_bad_host_name_is_reported_and_not_set(guest):
    assert guest.boot(hostname="a b") == ["host name: 'a b' is not one"]
    assert "set system host-name 'vyos'" in guest.commands


def hosted_by_22_1(module: ModuleType, cfg: dict[str, Any], cloud: Any) -> None:
    """Calls a module as 22.1 does, on which VyOS' fork is based: attributes of the module, arguments by place."""
    assert module.frequency in ("once-per-instance", "always", "once")
    assert isinstance(module.distros, list)
    module.handle("vyos", cfg, cloud, logging.getLogger("cloudinit"), [])


def hosted_by_22_4(module: ModuleType, cfg: dict[str, Any], cloud: Any) -> None:
    """Calls a module as Debian 12's 22.4.2 does: what it is stands in its `meta`."""
    assert module.meta["frequency"] in ("once-per-instance", "always", "once")
    assert module.meta["distros"] == ["all"]
    module.handle(*["vyos", cfg, cloud, logging.getLogger("cloudinit"), []])


def hosted_by_25_1(module: ModuleType, cfg: dict[str, Any], cloud: Any) -> None:
    """Calls a module as 23.2 and later do: by name; a logger for those that have five parameters, until 28.2."""
    assert len(inspect.signature(module.handle).parameters) == 5
    module.handle(name="vyos", cfg=cfg, cloud=cloud, args=[], log=logging.getLogger("cloudinit"))


def hosted_without_a_logger(module: ModuleType, cfg: dict[str, Any], cloud: Any) -> None:
    module.handle(name="vyos", cfg=cfg, cloud=cloud, args=[])


@pytest.mark.parametrize("host", [hosted_by_22_1, hosted_by_22_4, hosted_by_25_1, hosted_without_a_logger])
def test_a_problem_makes_the_module_fail_after_everything_else_was_written(guest, caplog, host):
    guest.keys = [KEY]
    with pytest.raises(guest.module.CannotApply, match="line 1"):
        host(guest.module, {"vyos_config_commands": ["nonsense"]}, guest.cloud)
    assert any("public-keys" in line for line in guest.commands)
    assert "line 1" in caplog.text


def test_the_footer_of_the_configuration_stays(guest):
    guest.boot()
    assert f"// Release version: {RELEASE}" in guest.text


def test_the_configuration_is_readable_for_its_group_only(guest):
    guest.boot()
    assert (guest.root / "config" / "config.boot").stat().st_mode & 0o777 == 0o660


def test_a_failing_migration_is_reported_and_the_rest_goes_on(guest):
    script = guest.root / "migrate"
    script.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    script.chmod(0o755)
    guest.config.write_text(saved_config(RELEASE))
    (problem,) = guest.boot(vyos_config_commands=["set system host-name 'after'"])
    assert "not migrated" in problem
    assert "broken" in problem
    assert "set system host-name 'after'" in guest.commands


# --- an owner's whole configuration --------------------------------------------------------------------------------

OWNED = saved_config(RELEASE).replace('host-name "vyos"', 'host-name "owned"')
OWNED = OWNED.replace(OWNED.split('encrypted-password "')[1].split('"')[0], HASH)


def write_files(guest: Any, **more: object) -> list[dict[str, object]]:
    """What user-data says, and what cloud-init's own module has done of it before ours runs."""
    guest.config.write_text(OWNED)
    return [{"path": str(guest.config), "content": OWNED, **more}]


def test_an_owners_whole_configuration_wins_over_metadata_byte_for_byte(guest):
    guest.network, guest.host, guest.keys = PROXMOX, "from-metadata", [KEY]
    assert guest.boot(hostname="from-user-data", password=PASSWORD, write_files=write_files(guest)) == []
    assert guest.text == OWNED


def test_commands_are_added_to_an_owners_whole_configuration(guest):
    guest.network = PROXMOX
    lines = ["set system time-zone 'UTC'"]
    assert guest.boot(hostname="other", vyos_config_commands=lines, write_files=write_files(guest)) == []
    assert set(guest.commands) == {*ConfigTree(OWNED).to_commands().splitlines(), "set system time-zone 'UTC'"}


def test_it_wins_also_by_the_name_that_vyos_mounts_its_directory_at(guest):
    guest.network = PROXMOX
    entry = write_files(guest)[0]
    (guest.root / "mounted").symlink_to(guest.config.parent)
    guest.boot(write_files=[{**entry, "path": str(guest.root / "mounted" / "config.boot")}])
    assert guest.text == OWNED


def test_a_file_of_another_name_is_no_configuration(guest):
    entry = {"path": str(guest.config.parent / "scripts" / "config.boot"), "content": ""}
    guest.boot(hostname="edge1", write_files=[entry, {"path": 7}, {"content": ""}, "x"])
    assert "set system host-name 'edge1'" in guest.commands


def test_a_configuration_that_is_written_after_vyos_read_the_other_is_reported(guest):
    entry = {"path": str(guest.config), "content": OWNED, "defer": True}
    (problem,) = guest.boot(hostname="edge1", write_files=[entry])
    assert "deferred" in problem
    assert "set system host-name 'edge1'" in guest.commands


def test_the_isos_login_is_disarmed_in_an_owners_configuration_too(guest):
    guest.config.write_text(saved_config(RELEASE))
    guest.boot(write_files=[{"path": str(guest.config), "content": saved_config(RELEASE)}])
    assert "$6$" not in guest.text


def test_after_an_owners_configuration_nothing_in_it_counts_as_metadatas(guest):
    guest.boot(hostname="owned", password=HASH)
    guest.boot(write_files=write_files(guest))
    guest.boot(password=PASSWORD)
    assert HASH in guest.text
    assert "set system host-name 'owned'" in guest.commands
