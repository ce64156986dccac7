import pytest

from hyops_assets.image.credentials import (
    Hash,
    disarm,
    has_hardware_id,
    hashes_in_accounts,
    hashes_in_config,
    keys_in_config,
    plaintext_in_config,
    well_known,
)
from hyops_assets.image.vyos_config import read_configuration

# The password vyos, as each method of crypt(3) hashes it.
VYOS = {
    "md5": "$1$abcdefgh$uFcg1l.z5NberQT2aVhpM/",
    "sha256": "$5$abcdefgh$AE5BbSJG0C3wzbEQsC3hBS6/0b4L/NxxGF..CQuAo/0",
    "sha512": ("$6$hyopslab$anMMM6mKaw8iMy.ZlTdsMUcDabtQLmB52iL146mdt5Ylbz6qKD656NOsI8p1BQPY3lWoym.jYdncllYdyiXl.1"),
    "bcrypt": "$2b$05$abcdefghijklmnopqrstuunDipyHzbRYmILoVcon14xsukgOdnkjG",
    "yescrypt": "$y$j75$abcdefgh$gDt8Aj8oyqVwVuU6u9TKLPCEd.TlGUfyGCnjuscQ1m8",
}

ARMED = """\
login {
    user vyos {
        authentication {
            encrypted-password "$6$a$b"
            plaintext-password ""
        }
    }
    user admin {
        authentication {
            encrypted-password $6$c$d
            plaintext-password "secret"
        }
    }
}
// Release version: 2026.03.03-0027-rolling
"""


def test_disarming_leaves_no_usable_password_and_all_else_as_it_was() -> None:
    disarmed = disarm(ARMED)
    read = read_configuration(disarmed)
    assert not [*hashes_in_config(read), *plaintext_in_config(read)]
    assert disarmed.count('encrypted-password "*"') == 2
    assert disarmed.replace('"*"', '"$6$a$b"', 1).replace('"*"', "$6$c$d").replace(
        '""\n        }\n    }\n}', '"secret"\n        }\n    }\n}'
    ) == (ARMED)


def test_disarming_twice_is_disarming_once() -> None:
    assert disarm(disarm(ARMED)) == disarm(ARMED)


def test_logins_are_named_without_their_secrets() -> None:
    assert keys_in_config(read_configuration("user vyos { public-keys me@home {\n")) == ["me@home of user vyos"]
    read = read_configuration(ARMED)
    assert [hashed.owner for hashed in hashes_in_config(read)] == ["user vyos", "user admin"]
    assert plaintext_in_config(read) == ["user admin"]
    assert "$6$" not in repr(hashes_in_config(read))


@pytest.mark.parametrize("disabled", ["*", "!", "!!", "!$6$a$b"])
def test_a_disabled_password_lets_no_one_in(disabled: str) -> None:
    assert hashes_in_config(read_configuration(f'encrypted-password "{disabled}"\n')) == []


def test_an_empty_encrypted_password_counts_as_a_login() -> None:
    assert [hashed.value for hashed in hashes_in_config(read_configuration('encrypted-password ""\n'))] == [""]


def test_a_login_in_a_damaged_configuration_is_found_as_well() -> None:
    read = read_configuration('} user vyos { plaintext-password "x"\n encrypted-password $6$a$b\n "')
    assert [hashed.value for hashed in hashes_in_config(read)] == ["$6$a$b"]
    assert plaintext_in_config(read) == ["user vyos"]


def test_hardware_addresses_are_seen() -> None:
    assert has_hardware_id(read_configuration("ethernet eth0 {\n    hw-id 52:54:00:00:00:01\n}\n"))
    assert not has_hardware_id(read_configuration('description "no hw-id here"\n'))


def test_accounts_with_a_hash_or_without_a_password_are_named() -> None:
    shadow = "root:*:1::::::\na:!:1::::::\nb:$6$x:1::::::\nc::1::::::\nd:!$6$x:1::::::\n"
    assert [hashed.owner for hashed in hashes_in_accounts(shadow)] == ["user b", "user c"]


def test_an_x_in_passwd_points_elsewhere() -> None:
    accounts = "root:x:0:0::/:/bin/sh\nxy::1:1::/:/bin/sh\nz:xhash:1:1::/:/bin/sh\n"
    assert [hashed.owner for hashed in hashes_in_accounts(accounts, shadowed=True)] == ["user xy", "user z"]


@pytest.mark.parametrize("method", VYOS)
def test_the_password_vyos_is_known_whatever_hashed_it(method: str) -> None:
    assert well_known([Hash("user vyos", VYOS[method])]) == {VYOS[method]: True}


def test_another_password_is_not_known() -> None:
    hashed = VYOS["sha512"][:-1] + "2"
    assert well_known([Hash("user vyos", hashed), Hash("user root", "")]) == {hashed: False, "": True}


@pytest.mark.parametrize("hashed", ["$6$rounds=999999999$abcdefgh$x", "$2b$31$abcdefghijklmnopqrstuu"])
def test_a_hash_that_takes_for_ever_is_given_up(hashed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyops_assets.image.credentials._TRYING_SECONDS", 0.5)
    assert well_known([Hash("user vyos", hashed)]) == {hashed: None}


@pytest.mark.parametrize("hashed", ["x", "$y$", "$6$", "\udcff", "$1$\n", "a\0b", "$7$" + "9" * 4000])
def test_what_is_no_hash_has_an_answer(hashed: str) -> None:
    assert well_known([Hash("user vyos", hashed)])[hashed] is not True
