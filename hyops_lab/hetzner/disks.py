"""Disks as sparse files: a new server's is dirty, as real ones are; a snapshot is a copy that keeps the holes."""

import os
from pathlib import Path

GIGABYTE = 1_000_000_000
_DIRT = bytes(range(256)) * 256
_DIRT_EVERY = 1 << 20
_DIRTY_UNTIL = 256 << 20


def create_dirty_disk(path: Path, size_bytes: int) -> None:
    """Create a server's disk with an old system's traces: 64 KiB at each of the first 256 MiB.

    On an empty one, a writer that skips zeros could never be caught.
    """
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.truncate(size_bytes)
        for offset in range(0, min(size_bytes - len(_DIRT), _DIRTY_UNTIL), _DIRT_EVERY):
            os.pwrite(file.fileno(), _DIRT, offset)
    partial.replace(path)


def copy_sparse(source: Path, target: Path) -> int:
    """Copy a disk, holes as holes, and return how many bytes it holds besides them."""
    partial = target.with_suffix(".partial")
    copied = 0
    with source.open("rb") as reader, partial.open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        for start, end in _extents(reader.fileno(), size):
            offset = start
            while offset < end:
                count = os.copy_file_range(reader.fileno(), writer.fileno(), end - offset, offset, offset)
                offset += count
            copied += end - start
    partial.replace(target)
    return copied


def _extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    extents: list[tuple[int, int]] = []
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole is left
            break
        offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        extents.append((start, offset))
    return extents
