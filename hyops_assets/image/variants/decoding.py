"""What decoding a disk may take, by the stock programs: its time grows with the disk, its data is bounded.

A few kilobytes of qcow2 or raw.xz can stand for a tebibyte. Zeros of it become holes, and cost time alone; anything
else would fill the host's disk.
"""

from pathlib import Path

from hyops_assets.image.bounded import Limits
from hyops_assets.image.budget import OverBudget

MOST_DATA_BYTES = 64 << 30
"""What a decoded disk may hold that is no hole. An image of VyOS has 1 GB; a router's own disk grows by its logs."""

_SECONDS, _WALL_SECONDS = 300.0, 900.0
_BYTES_PER_SECOND, _WALL_BYTES_PER_SECOND = 64 << 20, 8 << 20
_STATUS_BYTES = 512


def limits_for(disk_bytes: int, *, output_bytes: int) -> Limits:
    """Return the limits of a program that writes or prints a disk of so many bytes."""
    return Limits(
        seconds=_SECONDS + disk_bytes / _BYTES_PER_SECOND,
        wall_seconds=_WALL_SECONDS + disk_bytes / _WALL_BYTES_PER_SECOND,
        output_bytes=output_bytes,
        file_bytes=disk_bytes,
    )


def require_modest(raw: Path, name: str, *, most_bytes: int = MOST_DATA_BYTES) -> None:
    """Verify, while a disk is being decoded, that what stands on the host's disk is a disk's data.

    Raises:
        OverBudget: it is more than `most_bytes`.
    """
    if raw.stat().st_blocks * _STATUS_BYTES > most_bytes:
        raise OverBudget(f"the disk in {name}", f"{most_bytes} bytes of data")
