"""What the lab's Hetzner sells: server types and locations. Names, sizes and prices as published in 2026."""

from dataclasses import dataclass
from typing import Any, Literal

LOCATIONS = {
    "fsn1": (1, "Falkenstein", "DE", 50.47612, 12.370071),
    "nbg1": (2, "Nuremberg", "DE", 49.452102, 11.076665),
    "hel1": (3, "Helsinki", "FI", 60.169855, 24.938379),
}


@dataclass(frozen=True)
class ServerType:
    """A row of the price list. Disk and memory in GB, prices in EUR net."""

    id: int
    name: str
    cores: int
    memory: int
    disk: int
    hourly: str
    monthly: str
    architecture: Literal["x86", "arm"] = "x86"
    retired: bool = False


SERVER_TYPES = {
    row.name: row
    for row in (
        ServerType(104, "cx22", 2, 4, 40, "0.0060", "3.7900", retired=True),
        ServerType(114, "cx23", 2, 4, 40, "0.0056", "3.4900"),
        ServerType(45, "cax11", 2, 4, 40, "0.0060", "3.7900", architecture="arm"),
        ServerType(109, "cpx22", 2, 4, 80, "0.0104", "6.4900"),
        ServerType(115, "cx33", 4, 8, 80, "0.0088", "5.4900"),
    )
}


def location_view(name: str) -> dict[str, Any]:
    """Return a location as the API shows it."""
    id_, city, country, latitude, longitude = LOCATIONS[name]
    return {
        "id": id_,
        "name": name,
        "description": f"{city} DC Park",
        "country": country,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
        "network_zone": "eu-central",
    }


def server_type_view(row: ServerType, sold_out: set[tuple[str, str]]) -> dict[str, Any]:
    """Return a server type as the API shows it; `sold_out` holds (type, location) pairs."""
    retired = (
        {"announced": "2026-01-15T00:00:00Z", "unavailable_after": "2026-06-30T00:00:00Z"} if row.retired else None
    )
    return {
        "id": row.id,
        "name": row.name,
        "description": row.name.upper(),
        "category": "Cost-Optimized",
        "cores": row.cores,
        "memory": row.memory,
        "disk": row.disk,
        "deprecated": row.retired,
        "deprecation": retired,
        "architecture": row.architecture,
        "cpu_type": "shared",
        "storage_type": "local",
        "prices": [_price(row, location) for location in LOCATIONS],
        "locations": [
            {
                "id": LOCATIONS[location][0],
                "name": location,
                "available": not row.retired and (row.name, location) not in sold_out,
                "recommended": not row.retired,
                "deprecation": retired,
            }
            for location in LOCATIONS
        ],
    }


def _price(row: ServerType, location: str) -> dict[str, Any]:
    def both(net: str) -> dict[str, str]:
        return {"net": net, "gross": net}

    return {
        "location": location,
        "price_hourly": both(row.hourly),
        "price_monthly": both(row.monthly),
        "price_per_tb_traffic": both("1.0000"),
        "included_traffic": 20 << 40,
    }
