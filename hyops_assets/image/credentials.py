"""Logins in a VyOS configuration: find the usable ones, and disarm those that every ISO carries.

A VyOS ISO's default configuration lets in vyos with the password vyos. An image that starts with it is open to
everyone who reaches it before its first configuration does (as CVE-2024-9486 was for other image builders).
"""

import re

DEFAULT_CONFIGS = ("/usr/share/vyos/config.boot.default", "/opt/vyatta/etc/config.boot.default")
"""Where VyOS keeps the configuration that it starts from without one: since January 2026, and before."""

CONFIG_DIRECTORY = "/opt/vyatta/etc/config"
NO_PASSWORD = "*"  # noqa: S105 - the value that no password matches
"""Disables the password alone; `!` would lock the account, and some SSH servers then refuse its keys too."""

_ENCRYPTED = re.compile(r'^(\s*encrypted-password\s+)(?:"([^"]*)"|(\S+))[ \t]*$', re.MULTILINE)
_PLAINTEXT = re.compile(r'^(\s*plaintext-password\s+)(?:"([^"]*)"|(\S+))[ \t]*$', re.MULTILINE)
_PUBLIC_KEY = re.compile(r"^\s*public-keys\s+(\S+)", re.MULTILINE)
_HARDWARE_ID = re.compile(r"^\s*hw-id\s", re.MULTILINE)
_DISABLED = ("*", "!", "!!", "!*")


def disarm(config: str) -> str:
    """Return a VyOS configuration in which no password lets anyone in; all else stays as it is."""
    without_hash = _ENCRYPTED.sub(rf'\g<1>"{NO_PASSWORD}"', config)
    return _PLAINTEXT.sub(r'\g<1>""', without_hash)


def logins_in_config(config: str) -> list[str]:
    """Return what in a VyOS configuration lets someone in, without the secrets themselves."""
    found = []
    if any((match[2] or match[3] or "") not in _DISABLED for match in _ENCRYPTED.finditer(config)):
        found.append("an encrypted password")
    if any(match[2] or match[3] for match in _PLAINTEXT.finditer(config)):
        found.append("a plaintext password")
    found += [f"the public key {match[1]}" for match in _PUBLIC_KEY.finditer(config)]
    return found


def has_hardware_id(config: str) -> bool:
    """Tell whether a VyOS configuration binds an interface to the hardware of one machine."""
    return _HARDWARE_ID.search(config) is not None


def logins_in_shadow(accounts: str, *, shadowed: bool = False) -> list[str]:
    """Return the users of an /etc/shadow whose password field is empty or a hash (shadow(5)).

    Args:
        accounts: the file's text.
        shadowed: it is an /etc/passwd, in which `x` points to the other file (passwd(5)).
    """
    fields = (line.split(":") for line in accounts.splitlines() if line.count(":") > 1)
    return [field[0] for field in fields if not field[1].startswith(("*", "!")) and not (shadowed and field[1] == "x")]
