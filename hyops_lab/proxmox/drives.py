"""Drives and network cards as configurations write them: property strings."""

import re
import secrets
from collections.abc import Mapping

DRIVE = re.compile(r"(scsi|ide|virtio|sata)\d+")
NETWORK = re.compile(r"net\d+")
_PREFIX = "BC:24:11"
"""Proxmox' own range of addresses, unless the datacenter names another (`mac_prefix`)."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def format_size(count: int) -> str:
    """Return a size as a configuration shows it: `64M`, `4G`."""
    for unit in ("T", "G", "M", "K"):
        if count % UNITS[unit] == 0:
            return f"{count // UNITS[unit]}{unit}"
    return str(count)


def options_of(text: str) -> dict[str, str]:
    """Return the `key=value` parts of a property string."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def parse_drive(text: str) -> tuple[str, dict[str, str]]:
    """Split a drive's property string into its volume and its options."""
    volid, _, rest = text.partition(",")
    return volid, options_of(rest)


def print_drive(volid: str, options: Mapping[str, str]) -> str:
    """Return a drive as a configuration shows it."""
    return ",".join([volid, *(f"{key}={value}" for key, value in options.items())])


def with_address(text: str, *, anew: bool = False) -> str:
    """Return a network card with an address: its own, or one that is made up (`virtio=BC:24:11:…,bridge=vmbr0`)."""
    model, _, rest = text.partition(",")
    name, _, address = model.partition("=")
    if anew or not address:
        address = ":".join([_PREFIX, *(f"{byte:02X}" for byte in secrets.token_bytes(3))])
    return ",".join(filter(None, (f"{name}={address}", rest)))
