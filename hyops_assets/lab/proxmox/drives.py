"""Drives as configurations write them: a volume and its options in one property string."""

import re
from collections.abc import Mapping

DRIVE = re.compile(r"(scsi|ide|virtio|sata)\d+")
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
