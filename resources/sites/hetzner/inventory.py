"""What a project holds, as plain values: the fields that a seed reads, none of them optional by accident."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from hcloud.images import BoundImage
from hcloud.server_types.client import BoundServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import BoundSSHKey

GIGABYTE = 1_000_000_000
"""A disk of 40 GB is taken to hold 40 times this; the rescue system tells how much it really holds."""

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot.

    Attributes:
        id: what `image_ref` is, as a string.
        status: `creating`, `available` or `unavailable`.
        description: snapshots have no name.
        labels: all of them, ours and others.
        protected: against deletion.
        created: when it was asked for.
        disk_gb: the smallest disk a server made from it may have.
        image_gb: what is paid for; None while it is written.
        server_id: the server it was taken of.
        architecture: `x86` or `arm`.
    """

    id: int
    status: str
    description: str
    labels: dict[str, str]
    protected: bool
    created: datetime
    disk_gb: float
    image_gb: float | None
    server_id: int | None
    architecture: str

    @classmethod
    def of(cls, image: BoundImage) -> Self:
        """Read the library's image."""
        return cls(
            id=_given(image.id),
            status=image.status or "",
            description=image.description or "",
            labels=dict(image.labels or {}),
            protected=bool((image.protection or {}).get("delete")),
            created=image.created or _EPOCH,
            disk_gb=float(image.disk_size or 0),
            image_gb=image.image_size,
            server_id=image.created_from.id if image.created_from else None,
            architecture=image.architecture or "",
        )


@dataclass(frozen=True)
class Server:
    """A server.

    Attributes:
        address: its public IPv4 address; where it has none, the first of its IPv6 network; empty where it has neither.
        created: by Hetzner's clock.
        image_id: of the image that its disk was made from, where that is still there.
    """

    id: int
    name: str
    status: str
    labels: dict[str, str]
    address: str
    server_type: str
    location: str
    created: datetime
    image_id: int | None

    @classmethod
    def of(cls, server: BoundServer) -> Self:
        """Read the library's server."""
        return cls(
            id=_given(server.id),
            name=server.name or "",
            status=server.status or "",
            labels=dict(server.labels or {}),
            address=_address(server),
            server_type=_name(server.server_type),
            location=_name(server.location),
            created=server.created or _EPOCH,
            image_id=server.image.id if server.image else None,
        )


@dataclass(frozen=True)
class Key:
    """A public SSH key, in OpenSSH's format; `created` by Hetzner's clock."""

    id: int
    name: str
    public_key: str
    labels: dict[str, str]
    created: datetime

    @classmethod
    def of(cls, key: BoundSSHKey) -> Self:
        """Read the library's key."""
        return cls(_given(key.id), key.name or "", key.public_key or "", dict(key.labels or {}), key.created or _EPOCH)


@dataclass(frozen=True)
class Offer:
    """A server type that a location sells now, and its price in EUR per hour, net."""

    server_type: str
    location: str
    disk_gb: int
    hourly: float


def offers_of(type_: BoundServerType) -> list[Offer]:
    """Return the locations that sell an x86 server type, those aside that are about to stop selling it."""
    if type_.architecture != "x86":
        return []
    prices = {price["location"]: float(price["price_hourly"]["net"]) for price in type_.prices or []}
    return [
        Offer(type_.name or "", _name(place.location), int(type_.disk or 0), prices.get(_name(place.location), 0.0))
        for place in type_.locations or []
        if place.available and place.deprecation is None
    ]


def _address(server: BoundServer) -> str:
    net = server.public_net
    if net is None:
        return ""
    if net.ipv4 is not None:
        return net.ipv4.ip or ""
    # A server is given a network of 64 bits, and configures itself as its first host.
    return str(ipaddress.ip_network(net.ipv6.ip)[1]) if net.ipv6 is not None and net.ipv6.ip else ""


def _given(value: int | None) -> int:
    if value is None:
        raise ValueError("Hetzner sent something without an id")
    return value


def _name(thing: Any) -> str:
    return (thing.name if thing is not None else None) or ""
