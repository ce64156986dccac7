"""A password's hash as `/etc/shadow` keeps it, computed by the system's own libcrypt (crypt(5)).

Python's `crypt` module is gone with 3.13, and no library of Python's knows yescrypt, Debian's default. libcrypt is
part of every Debian; nothing of a password becomes an argument of a program.
"""

import ctypes
import re
from collections.abc import Callable
from functools import cache

_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
"""libxcrypt's names: with and without what glibc's had besides."""

_DATA_BYTES = 32768
"""`sizeof (struct crypt_data)` (crypt.h)."""

_SETTING = re.compile(
    r"""
      \$[56]\$ (rounds=[1-9][0-9]{3,4}\$)? [./0-9A-Za-z]{1,16}  # sha256crypt, sha512crypt: below 0.3 s
    | \$y\$ j[7-9AB][5T]\$ [./0-9A-Za-z]{2,86}                  # yescrypt: below 64 MiB and 0.5 s
    """,
    re.VERBOSE,
)

_Crypt = Callable[[bytes, bytes, ctypes.Array[ctypes.c_char], int], bytes | None]


def hash_password(password: str, setting: str) -> str | None:
    """Return the hash of a password; None where this host cannot compute it.

    Args:
        password: in clear.
        setting: all of a hash but its last field, as crypt(5) writes it. It may come from anyone: a method that is
            not strong, one that would cost more than half a second or 64 MiB, and anything that is no setting have no
            hash. For such a one crypt may return a text that does not depend on the password.
    """
    crypt = _crypt()
    if crypt is None or not _SETTING.fullmatch(setting):
        return None
    made = crypt(password.encode(), setting.encode(), ctypes.create_string_buffer(_DATA_BYTES), _DATA_BYTES)
    hashed = made.decode("ascii") if made else ""
    return hashed if hashed.startswith(f"{setting}$") else None


@cache
def _crypt() -> _Crypt | None:
    for name in _LIBRARIES:
        try:
            crypt = ctypes.CDLL(name).crypt_rn
        except (OSError, AttributeError):
            continue
        crypt.restype = ctypes.c_char_p
        crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
        return crypt
    return None
