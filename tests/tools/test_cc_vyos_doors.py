"""A login that was not asked for stays disabled, whatever the configuration was and whatever ends the module."""

import errno
import functools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_lab.miniature import saved_config
from tests.killing import killed_at_each_line
from tests.tools.shapes import HASH, KEY, RELEASE

pytestmark = pytest.mark.seconds

PIECES = (
    "system {",
    "login {",
    "user vyos {",
    "authentication {",
    "}",
    f'encrypted-password "{HASH}"',
    f"encrypted-password {HASH}",
    'encrypted-password ""',
    'plaintext-password "vyos"',
    "\tplaintext-password   x ",
    "",
)


def with_ssh(config: str) -> str:
    """A configuration whose SSH was switched on, on port 2222."""
    return config.replace("system {", "service {\n    ssh {\n        port 2222\n    }\n}\nsystem {", 1)


def test_ssh_of_a_configuration_is_removed_where_no_user_can_log_in(guest):
    guest.config.write_text(with_ssh(saved_config(RELEASE)))
    guest.boot()
    assert not any("ssh" in line for line in guest.commands)


def test_ssh_of_a_configuration_keeps_its_port(guest):
    guest.config.write_text(with_ssh(saved_config(RELEASE)))
    guest.boot(ssh_authorized_keys=[KEY])
    assert "set service ssh port '2222'" in guest.commands


def test_ssh_that_a_command_switches_on_is_removed_where_no_user_can_log_in(guest, caplog):
    guest.boot(vyos_config_commands=["set service ssh port 22"])
    assert "ssh" not in guest.text
    assert "SSH is off" in caplog.text


def test_a_radius_server_lets_people_in(guest):
    guest.boot(vyos_config_commands=["set service ssh port 22", "set system login radius server 192.0.2.9 key k"])
    assert "set service ssh port '22'" in guest.commands


def test_an_empty_password_is_refused(guest):
    default = saved_config(RELEASE)
    guest.config.write_text(default.replace(default.split('encrypted-password "')[1].split('"')[0], ""))
    line = "set system login user ops authentication encrypted-password ''"
    (problem,) = guest.boot(vyos_config_commands=[line])
    assert "empty password" in problem
    assert 'encrypted-password ""' not in guest.text


def test_passwords_of_others_than_logins_are_left_alone(guest):
    default = saved_config(RELEASE)
    area = '    isis {\n        area-password {\n            plaintext-password "vyos"\n        }\n    }\n'
    guest.config.write_text(f"protocols {{\n{area}}}\n{default}")
    guest.boot()
    assert 'plaintext-password "vyos"' in guest.text


def test_a_key_that_is_there_already_is_not_added_again(guest):
    guest.keys = [KEY]
    guest.boot()
    before = guest.text
    guest.boot()
    assert guest.text == before


def test_a_guest_without_libcrypt_shuts_what_it_cannot_tell(guest, monkeypatch):
    monkeypatch.setattr(guest.module, "hashed", lambda *_: None)
    guest.config.write_text(saved_config(RELEASE))
    guest.boot()
    assert not guest.module.lets_someone_in(guest.text)


def test_without_any_configuration_it_says_so(guest):
    (guest.root / "config.boot.default").unlink()
    (problem,) = guest.boot(ssh_authorized_keys=[KEY])
    assert "nor a default configuration exists" in problem
    assert "public-keys" in guest.text


# --- whatever ends it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["no vyos.configtree", "a configuration that VyOS cannot read", "a full disk"])
def test_no_exception_leaves_it_before_the_default_login_is_gone(guest, broken, monkeypatch):
    guest.config.write_text(with_ssh(saved_config(RELEASE)))
    if broken == "no vyos.configtree":
        monkeypatch.setitem(sys.modules, "vyos.configtree", None)
    elif broken == "a configuration that VyOS cannot read":
        guest.config.write_text("}\n" + with_ssh(saved_config(RELEASE)))
    else:
        writes = iter([guest.module.write_config])
        monkeypatch.setattr(guest.module, "write_config", lambda text: next(writes, no_space)(text))
    with pytest.raises((ImportError, ValueError, OSError)):
        guest.boot(ssh_authorized_keys=[KEY])
    assert 'encrypted-password "*"' in guest.text
    assert "ssh" not in guest.text


def no_space(text: str) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")


def test_a_datasource_that_raises_keeps_no_key_from_its_guest(guest):
    class Datasource:
        @property
        def network_config(self) -> dict[str, object]:
            raise Exception("Unable to get meta-data from server....")  # as cloud-init's Hetzner datasource does

    cloud = guest.cloud
    cloud.datasource = Datasource()
    problems = guest.module.apply_vyos_config_boot({"ssh_authorized_keys": [KEY]}, cloud)
    assert problems == ["network: has an unexpected shape (Exception)"]
    assert "public-keys" in guest.text


def test_killed_at_any_line_it_leaves_no_default_login_once_it_has_written(guest):
    started = with_ssh(saved_config(RELEASE))
    guest.keys = [KEY]
    guest.config.write_text(started)
    left = set()
    work = functools.partial(guest.boot, password=HASH, vyos_config_commands=["set system time-zone UTC"])
    # Thousands of lines between the two writes; the writes themselves are killed at every line, below.
    for _ in killed_at_each_line(work, guest.module, every=503):
        left.add(guest.text)
        guest.config.write_text(started)
    left.add(guest.text)
    complete = [text for text in left if HASH in text]
    (safe,) = left - {started, *complete}
    assert len(complete) == 1
    assert not guest.module.lets_someone_in(safe)
    assert "ssh" not in safe
    names = {path.name.removeprefix(".").removesuffix(".partial") for path in guest.config.parent.iterdir()}
    assert names <= {"config.boot", "cloud-init-ledger.json"}


def test_a_configuration_is_written_whole_or_not_at_all(guest):
    guest.config.write_text("old\n")
    for _ in killed_at_each_line(lambda: guest.module.write_config("new\n"), guest.module):
        assert guest.text in ("old\n", "new\n")
        guest.config.write_text("old\n")
    assert guest.text == "new\n"


@settings(deadline=None)
@given(text=st.text() | st.lists(st.sampled_from(PIECES)).map("\n".join))
def test_any_text_has_its_default_logins_shut_and_is_else_unchanged(cc_vyos, text):
    shut = cc_vyos.without_default_logins(text, everyone=True)
    kept = [line for path, line in cc_vyos.lines_of(text) if path[:2] != ["system", "login"]]
    assert [line for path, line in cc_vyos.lines_of(shut) if path[:2] != ["system", "login"]] == kept
    assert not any(
        "password" in line and path[:2] == ["system", "login"] and cc_vyos._ENTRANCE.match(line)
        for path, line in cc_vyos.lines_of(shut)
    )
