"""What an encoder answers: a variant's file, and the disk it decodes to, each with its digests."""

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import MOST_DISK_BYTES, Disk
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.holes import ChangedWhileRead

SECTOR_BYTES = 512


class NotADisk(Refused):
    """A size that no disk has: empty, not a whole number of 512-byte sectors, or more than 1 TiB."""


@dataclass(frozen=True)
class Encoded:
    """One variant of a disk.

    Attributes:
        size_bytes: the file's size.
        sha256: of the file, 64 hex digits.
        crc32c: of the file, base64 as object stores report it (RFC 4648 of the big-endian checksum).
        disk: the guest-visible disk that the file decodes to.
    """

    size_bytes: int
    sha256: str
    crc32c: str
    disk: Disk


class FileDigest:
    """Both digests of a variant's file, fed in order."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._crc32c = google_crc32c.Checksum()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of what was fed so far, as 64 hex digits."""
        return self._sha256.hexdigest()

    def update(self, data: bytes) -> None:
        """Take the file's next bytes."""
        self._sha256.update(data)
        self._crc32c.update(data)
        self.size_bytes += len(data)

    def encoded(self, disk: Disk) -> Encoded:
        """Return what was fed so far, as a variant of this disk."""
        checksum = base64.b64encode(self._crc32c.digest()).decode()
        return Encoded(self.size_bytes, self.sha256, checksum, disk)


def digest_of_file(path: Path, *, stage: str, progress: Progress = silent) -> FileDigest:
    """Read a whole file into its digests."""
    digest = FileDigest()
    total = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            progress(stage, digest.size_bytes, total)
    return digest


def require_disk_size(size_bytes: int, name: str) -> int:
    """Return a disk's size unchanged.

    Raises:
        NotADisk: it is 0, not a multiple of 512 bytes, or more than 1 TiB.
    """
    if size_bytes > MOST_DISK_BYTES:
        raise NotADisk(
            f"{name} holds a disk of {size_bytes} bytes, more than {MOST_DISK_BYTES}",
            hint="give the disk of a router, not that of a store",
        )
    if size_bytes <= 0 or size_bytes % SECTOR_BYTES:
        raise NotADisk(
            f"{name} holds {size_bytes} bytes, which is no whole number of {SECTOR_BYTES}-byte sectors",
            hint="give the raw disk itself, padded to whole sectors",
        )
    return size_bytes


def require_unchanged(before: os.stat_result, after: os.stat_result, name: str) -> None:
    """Compare a file's status before and after reading it.

    Raises:
        ChangedWhileRead: its size or time of modification differs.
    """
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ChangedWhileRead(
            f"{name} changed while it was read: {before.st_size} bytes, then {after.st_size}",
            hint="stop what writes to it, then run again",
        )
