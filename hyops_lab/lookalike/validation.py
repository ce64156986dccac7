"""A stand-in for VyOS' `validate-value` and its validators: does a value fit a node?

It judges as VyOS' do, and shares no code with them. It imports nothing of this project, because it is installed in
the guest.
"""

import base64
import binascii
import ipaddress
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

_EXPRESSION = re.compile(r'^syntax:expression: exec "((?:\\.|[^"\\])*)"', re.MULTILINE)
_MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_NAME = re.compile(r"[A-Za-z0-9][-.A-Za-z0-9]*")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_CLASSES = {"alnum": "A-Za-z0-9", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "digit": "0-9", "print": " -~"}
_FIRST_POINT_TO_POINT = {4: 31, 6: 127}


def fits(node_def: str, value: str) -> bool:
    """Tell whether VyOS takes a value for a node; `node_def` is the text of its node.def."""
    found = _EXPRESSION.search(node_def)
    if found is None:
        return True
    words = shlex.split(re.sub(r"\\(.)", r"\1", found[1]))
    return accepts([value if word == "$VAR(@)" else word for word in words[1:]])


def accepts(arguments: Sequence[str]) -> bool:
    """Answer as `validate-value` does with these arguments; its validators are known by name.

    No node of the look-alike has groups of checks (`--grp`), all of which must fit.
    """
    if "--grp" in arguments:
        raise NotImplementedError
    given = list(zip(arguments[::2], arguments[1::2], strict=False))
    value = next((text for option, text in given if option == "--value"), "")
    checks = [(option, text) for option, text in given if option != "--value"]
    return any(
        re.fullmatch(_in_python(text), value) is not None if option == "--regex" else validates(text, value)
        for option, text in checks
    )


def validates(call: str, value: str) -> bool:
    """Tell whether a validator, named with its arguments, accepts a value."""
    program, *arguments = shlex.split(call)
    name = PurePosixPath(program).name
    if name == "numeric":
        return _is_in_range(arguments, value)
    if name not in _VALIDATORS:
        raise NotImplementedError(name)
    try:
        return _VALIDATORS[name](value)
    except ValueError:
        return False


def _in_python(regex: str) -> str:
    """Return an expression without the classes that VyOS' library knows by name."""
    for name, characters in _CLASSES.items():
        regex = regex.replace(f"[:{name}:]", characters)
    return regex


def _is_in_range(arguments: Sequence[str], value: str) -> bool:
    ranges = [arguments[at + 1] for at, option in enumerate(arguments) if option == "--range"]
    if not re.fullmatch("-?[0-9]+", value):
        return False
    return not ranges or any(low <= int(value) <= high for low, high in map(_bounds, ranges))


def _bounds(text: str) -> tuple[int, int]:
    low, high = text.split("-")
    return int(low), int(high)


def _is_host(value: str) -> bool:
    """An address with a prefix that is not the network's own, but where a link has two addresses at most."""
    if "/" not in value:
        return False
    found = ipaddress.ip_interface(value)
    return found.ip != found.network.network_address or found.network.prefixlen >= _FIRST_POINT_TO_POINT[found.version]


def _is_prefix(version: int) -> Callable[[str], bool]:
    def judged(value: str) -> bool:
        return "/" in value and ipaddress.ip_network(value).version == version

    return judged


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value)
    except binascii.Error:
        return False
    return True


_VALIDATORS: dict[str, Callable[[str], bool]] = {
    "base64": _is_base64,
    # None of the machine's own devices stands in a configuration that is looked at elsewhere.
    "file-path": lambda _value: False,
    "fqdn": lambda value: _NAME.fullmatch(value) is not None,
    "ip-address": lambda value: bool(ipaddress.ip_address(value)),
    "ip-cidr": lambda value: "/" in value and bool(ipaddress.ip_interface(value)),
    "ip-host": _is_host,
    "ipv4-address": lambda value: bool(ipaddress.IPv4Address(value)),
    "ipv4-prefix": _is_prefix(4),
    "ipv6-address": lambda value: bool(ipaddress.IPv6Address(value)),
    "ipv6-link-local": lambda value: ipaddress.IPv6Address(value.partition("%")[0]).is_link_local,
    "ipv6-prefix": _is_prefix(6),
    "mac-address": lambda value: _MAC.fullmatch(value) is not None,
    "timezone": lambda value: _ZONE.fullmatch(value) is not None,
}
