import pytest

from hyops_assets.image.credentials import disarm, has_hardware_id, logins_in_config, logins_in_shadow

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
    assert logins_in_config(disarmed) == []
    assert disarmed.count('encrypted-password "*"') == 2
    assert disarmed.replace('"*"', '"$6$a$b"', 1).replace('"*"', "$6$c$d").replace(
        '""\n        }\n    }\n}', '"secret"\n        }\n    }\n}'
    ) == (ARMED)


def test_disarming_twice_is_disarming_once() -> None:
    assert disarm(disarm(ARMED)) == disarm(ARMED)


def test_logins_are_named_without_their_secrets() -> None:
    assert logins_in_config(ARMED) == ["an encrypted password", "a plaintext password"]
    assert logins_in_config("public-keys me@home {\n") == ["the public key me@home"]


@pytest.mark.parametrize("disabled", ["*", "!", "!!"])
def test_a_disabled_password_lets_nobody_in(disabled: str) -> None:
    assert logins_in_config(f'encrypted-password "{disabled}"\n') == []


def test_an_empty_encrypted_password_counts_as_a_login() -> None:
    assert logins_in_config('encrypted-password ""\n') == ["an encrypted password"]


def test_hardware_addresses_are_seen() -> None:
    assert has_hardware_id("ethernet eth0 {\n    hw-id 52:54:00:00:00:01\n}\n")
    assert not has_hardware_id('description "no hw-id here"\n')


def test_accounts_with_a_hash_or_without_a_password_are_named() -> None:
    shadow = "root:*:1::::::\na:!:1::::::\nb:$6$x:1::::::\nc::1::::::\nd:!$6$x:1::::::\n"
    assert logins_in_shadow(shadow) == ["b", "c"]


def test_an_x_in_passwd_points_elsewhere() -> None:
    assert logins_in_shadow("root:x:0:0::/:/bin/sh\nxy::1:1::/:/bin/sh\nz:xhash:1:1::/:/bin/sh\n", shadowed=True) == [
        "xy",
        "z",
    ]
