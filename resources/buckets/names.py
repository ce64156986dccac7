"""Names of objects, alike in a directory, in a bucket and in a URL."""

import re

from hyops_assets.contract.errors import Refused

_COMPONENT = re.compile(r"[A-Za-z0-9_~+-][A-Za-z0-9._~+-]{0,199}")
_LONGEST = 1024


class BadObjectName(Refused):
    """Not a name that an object may have."""


def require_object_name(name: str) -> str:
    """Return an object name unchanged.

    Raises:
        BadObjectName: not `/`-separated components of letters, digits and `. _ ~ + -`, or one starts with a dot.
    """
    if len(name) > _LONGEST or not all(_COMPONENT.fullmatch(part) for part in name.split("/")):
        raise BadObjectName(
            f"{name[:200]!r} is not an object name", hint="use a name such as network/vyos/vyos-1.5-2026.03.qcow2"
        )
    return name
