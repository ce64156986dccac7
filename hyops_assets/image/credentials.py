"""Logins in a VyOS image: find the usable ones, and disarm those that every ISO carries.

A VyOS ISO's default configuration lets in vyos with the password vyos. An image that starts with it is open to
everyone who reaches it before its first configuration does (as CVE-2024-9486 was for other image builders).
"""

import json
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hyops_assets.image.programs import ProgramFailed, run
from hyops_assets.image.vyos_config import Configuration, Statement

CONFIG_DIRECTORY = "/opt/vyatta/etc/config"
NO_PASSWORD = "*"  # noqa: S105 - the value that no password matches
"""Disables the password alone; `!` would lock the account, and some SSH servers then refuse its keys too."""

KNOWN_PASSWORDS = ("vyos", "vyatta", "root", "admin", "password", "debian", "ubuntu", "cloud", "packer", "vagrant", "")
"""What is tried first on any router: VyOS' own, its ancestor's, and those that image builders leave behind."""

_ENCRYPTED = re.compile(r'^(\s*encrypted-password\s+)(?:"([^"]*)"|(\S+))[ \t]*$', re.MULTILINE)
_PLAINTEXT = re.compile(r'^(\s*plaintext-password\s+)(?:"([^"]*)"|(\S+))[ \t]*$', re.MULTILINE)
_DISABLED = ("*", "!")
_TRYING_SECONDS = 5.0
# In a process of its own: a hash may ask for billions of rounds, and crypt(3) computes all of them.
_TRY = """\
import ctypes, json, sys
library = ctypes.CDLL("libcrypt.so.1")
library.crypt.restype = ctypes.c_char_p
asked = json.load(sys.stdin)
known = []
for hashed in asked["hashes"]:
    setting = hashed.encode("utf-8", "surrogateescape")
    known.append(any(library.crypt(word.encode(), setting) == setting for word in asked["words"]))
print(json.dumps(known))
"""


@dataclass(frozen=True)
class Hash:
    """A password hash that lets somebody in, and whose it is. Its value stays out of every message."""

    owner: str
    value: str

    def __repr__(self) -> str:
        return f"Hash({self.owner!r})"


def disarm(config: str) -> str:
    """Return a VyOS configuration in which no password lets anyone in; all else stays as it is."""
    without_hash = _ENCRYPTED.sub(rf'\g<1>"{NO_PASSWORD}"', config)
    return _PLAINTEXT.sub(r'\g<1>""', without_hash)


def is_disabled(hashed: str) -> bool:
    """Tell whether a password field matches no password at all, as `*` and everything behind `!` (shadow(5))."""
    return hashed.startswith(_DISABLED)


def hashes_in_config(config: Configuration) -> list[Hash]:
    """Return the password hashes of a VyOS configuration that are not disabled."""
    return [
        Hash(_user(statement), statement.value)
        for statement in config.named("encrypted-password")
        if not is_disabled(statement.value)
    ]


def plaintext_in_config(config: Configuration) -> list[str]:
    """Return whose passwords stand in clear in a VyOS configuration."""
    return [_user(statement) for statement in config.named("plaintext-password") if statement.value]


def keys_in_config(config: Configuration) -> list[str]:
    """Return the names of the public keys that a VyOS configuration lets in."""
    return [f"{statement.value} of {_user(statement)}" for statement in config.named("public-keys")]


def has_hardware_id(config: Configuration) -> bool:
    """Tell whether a VyOS configuration binds an interface to the hardware of one machine."""
    return bool(config.named("hw-id"))


def hashes_in_accounts(accounts: str, *, shadowed: bool = False) -> list[Hash]:
    """Return the users of an /etc/shadow whose password field is empty or a hash (shadow(5)).

    Args:
        accounts: the file's text.
        shadowed: it is an /etc/passwd, in which `x` points to the other file (passwd(5)).
    """
    fields = (line.split(":") for line in accounts.splitlines() if line.count(":") > 1)
    return [
        Hash(f"user {field[0]}", field[1])
        for field in fields
        if not is_disabled(field[1]) and not (shadowed and field[1] == "x")
    ]


def well_known(hashes: Collection[Hash]) -> Mapping[str, bool | None]:
    """Tell which hashes are of a password that everyone knows, whatever method of crypt(3) made them.

    Returns:
        By hash: True, False, or None where it could not be tried: it takes too long, or the host has no libcrypt.
    """
    tried = [hashed.value for hashed in hashes if hashed.value and "\0" not in hashed.value]
    answers: dict[str, bool | None] = {hashed.value: not hashed.value or None for hashed in hashes}
    if not tried:
        return answers
    asked = json.dumps({"hashes": tried, "words": list(KNOWN_PASSWORDS)}).encode()
    try:
        answered = run([sys.executable, "-I", "-c", _TRY], stdin=asked, timeout=_TRYING_SECONDS)
    except ProgramFailed:
        return answers
    return answers | dict(zip(tried, json.loads(answered.text), strict=True))


def _user(statement: Statement) -> str:
    """Return whose login a statement is part of: the tag of the `user` around it."""
    around = statement.inside
    names = [around[at + 1] for at, word in enumerate(around[:-1]) if word == "user"]
    return f"user {names[-1]}" if names else "no user by name"
