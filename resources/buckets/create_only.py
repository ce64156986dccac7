"""Give a file its name once, or not at all: create-only and atomic on any POSIX file system.

Bytes go to a hidden file beside the final name and are hashed on their way; `link(2)` then gives them the name and
fails where it exists, where `rename(2)` would replace. A hidden file is locked for as long as its writer lives, so
that leftovers of killed writers can be distinguished from work in progress.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.digests import CHUNK_BYTES

_PARTIAL = ".partial"


class DigestMismatch(HyopsError):
    """The bytes to publish are not the ones that were promised. Nothing was published."""


@dataclass(frozen=True)
class Creation:
    """Whether the name was free, and how many bytes were written to find out."""

    created: bool
    bytes_written: int


def create_only(
    target: Path, source: Path | bytes, *, sha256: str, mode: int = 0o644, progress: Progress = silent
) -> Creation:
    """Write a file under a name that is free; leave what has the name already.

    Args:
        target: the final path; its directory exists.
        source: the bytes, or a file with them.
        sha256: what the bytes must hash to.
        mode: of the final file, whatever the umask.
        progress: called with the bytes written.

    Raises:
        DigestMismatch: the source has other bytes; the name stays free.
        OSError: the file system refuses (no space, no permission).
    """
    with partial_beside(target) as (path, file):
        size = _copy(source, file, sha256, progress)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
        try:
            # Not path.rename(target): that would replace what is published.
            target.hardlink_to(path)
        except FileExistsError:
            return Creation(created=False, bytes_written=size)
        sync_directory(target.parent)
    return Creation(created=True, bytes_written=size)


def sweep(directory: Path) -> None:
    """Remove the hidden files whose writers were killed; leave those that are being written."""
    for path in directory.glob(f".*{_PARTIAL}"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
        except (FileNotFoundError, BlockingIOError):
            continue


@contextmanager
def partial_beside(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new hidden file that no sweep takes, and remove its hidden name afterwards."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_PARTIAL}")
        with path.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A sweep that came between these two lines has taken the file for a leftover: make another.
            if os.fstat(file.fileno()).st_nlink == 0:
                continue
            try:
                yield path, file
            finally:
                path.unlink(missing_ok=True)
            return


def _copy(source: Path | bytes, file: IO[bytes], sha256: str, progress: Progress) -> int:
    digest = hashlib.sha256()
    total = len(source) if isinstance(source, bytes) else source.stat().st_size
    done = 0
    for chunk in _chunks(source):
        digest.update(chunk)
        file.write(chunk)
        done += len(chunk)
        progress("publish", done, total)
    if digest.hexdigest() != sha256:
        origin = "the bytes given" if isinstance(source, bytes) else str(source)
        raise DigestMismatch(
            f"{origin} have sha256 {digest.hexdigest()}, not {sha256}",
            hint="something changed the file since it was hashed: check the disk, then build it again",
        )
    return done


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def sync_directory(directory: Path) -> None:
    """Have the names in a directory on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
