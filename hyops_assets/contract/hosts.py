"""Hosts and ports: the grammar that settings and URLs share."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

_LONGEST_NAME = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOLDS_IPV4 = tuple(map(IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")))
"""Addresses whose last 32 bits are an IPv4 address: compatible (RFC 4291), NAT64 (RFC 6052, 8215), SIIT (RFC 7915)."""
_OF_CLOUDS = frozenset({"fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"})
"""Metadata services that are not at a link-local address: of Amazon, Google, Alibaba, Oracle and Azure."""
_THIS_HOST = 0
"""First byte of 0.0.0.0/8, which systems take for themselves (RFC 1122 §3.2.1.3)."""


def require_host(text: str) -> str:
    """Return a DNS name in ASCII, or an IPv4 or IPv6 address (without brackets), in lower case.

    A name whose last label is a number is an address: systems read `127.1` and `0x7f000001` as one (WHATWG URL, "ends
    in a number"), so only the usual way to write it is taken.

    Raises:
        ValueError: it is none of these.
    """
    host = text.lower()
    if ":" in host and not re.fullmatch(r"[0-9a-f:.%]+", host):
        raise ValueError(f"{_shown(text)} is no host: give its name or address alone, without scheme, port and path")
    if ":" in host:
        return _address(IPv6Address, host)
    labels = host.split(".")
    if not host or len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{_shown(text)} is neither a DNS name in ASCII nor an IP address")
    if _NUMBER.fullmatch(labels[-1]):
        return _address(IPv4Address, host)
    for label in labels:
        _require_decodable(label)
    return host


def require_server(text: str) -> str:
    """Return a host at which a service may be asked.

    A link-local address is no such place: clouds answer there with the credentials of the machine that asks, and it
    means another host on every link. Nor is a multicast, reserved or unspecified one.

    Raises:
        ValueError: it is no host, or such an address, also one inside of an IPv6 address.
    """
    host = require_host(text)
    address = _parsed_address(host)
    if address is None:
        return host
    inner = _inner(address)
    for found in (address, *([inner] if inner else [])):
        nowhere = found.is_link_local or found.is_multicast or found.is_unspecified
        nowhere = nowhere or str(found) in _OF_CLOUDS
        if isinstance(found, IPv4Address):
            nowhere = nowhere or found.is_reserved or found.packed[0] == _THIS_HOST
        if nowhere:
            raise ValueError(
                f"{_shown(text)} is a link-local, multicast, unspecified or metadata address, at which no service is "
                "asked: "
                "give the service's name or its own address"
            )
    return host


def require_port(text: str) -> int:
    """Return a port.

    Raises:
        ValueError: it is no number from 1 to 65535.
    """
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"{_shown(text)} is no port from 1 to 65535")
    return int(text)


def _address(kind: type[IPv4Address | IPv6Address], text: str) -> str:
    try:
        # A zone names an interface of this host: it has no place in what others read.
        found = None if "%" in text else str(kind(text))
    except AddressValueError:
        found = None
    if found is None:
        raise ValueError(f"{_shown(text)} is no IP address")
    return found


def _parsed_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is; None where it is a name."""
    if ":" in host:
        return IPv6Address(host)
    return IPv4Address(host) if _NUMBER.fullmatch(host.rpartition(".")[2]) else None


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, if it is one of those."""
    if isinstance(address, IPv4Address):
        return None
    if address.is_loopback or address.is_unspecified:
        return None
    if any(address in network for network in _HOLDS_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _require_decodable(label: str) -> None:
    """Refuse a label that says it is encoded (RFC 3492) and is not."""
    if not label.startswith("xn--"):
        return
    try:
        decoded = label[4:].encode().decode("punycode")
    except (UnicodeError, OverflowError):
        decoded = ""
    if decoded.isascii() or not decoded.isprintable():
        raise ValueError(f"{_shown(label)} is no encoded name (IDNA)")


def _shown(text: str) -> str:
    return ascii(text[:80])
