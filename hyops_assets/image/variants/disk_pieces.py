"""A raw disk read in its order, sparsely: blocks of data, and runs of blocks that are holes.

What belongs here: reading and hashing. What is made of the pieces belongs to the encoder.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.holes import ChangedWhileRead, next_data

# Long enough to cost nothing, short enough that progress moves and a cancelled run stops at once.
MAX_ZERO_RUN_BYTES = 64 << 20


@dataclass(frozen=True)
class Piece:
    """A part of the disk in its order: one block of data, or a run of zeros with `data` None."""

    size_bytes: int
    data: bytes | None


class DiskDigest:
    """SHA-256 of a disk, fed piece by piece; zeros of holes included."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._zeros = bytes(CHUNK_BYTES)

    def update(self, piece: Piece) -> None:
        """Take the disk's next piece."""
        if piece.data is not None:
            self._sha256.update(piece.data)
            return
        zeros = memoryview(self._zeros)
        for start in range(0, piece.size_bytes, CHUNK_BYTES):
            self._sha256.update(zeros[: piece.size_bytes - start])

    def hexdigest(self) -> str:
        """Return the digest of all pieces so far, as 64 hex digits."""
        return self._sha256.hexdigest()


def pieces_of(descriptor: int, size: int, block_bytes: int, name: str) -> Iterator[Piece]:
    """Cut a disk into blocks of data and runs of blocks that are holes; a hole is not read.

    Args:
        descriptor: of the open disk.
        size: its bytes.
        block_bytes: bytes of a block; the last one may be shorter.
        name: the disk's, for errors.

    Raises:
        ChangedWhileRead: the disk ends before `size`.
    """
    zero_run = max(MAX_ZERO_RUN_BYTES // block_bytes, 1) * block_bytes
    offset = 0
    while offset < size:
        data_start = next_data(descriptor, offset, size)
        hole_end = size if data_start == size else data_start - data_start % block_bytes
        while offset < hole_end:
            length = min(zero_run, hole_end - offset)
            yield Piece(length, None)
            offset += length
        if offset < size:
            length = min(block_bytes, size - offset)
            yield Piece(length, _read(descriptor, offset, length, name))
            offset += length


def _read(descriptor: int, offset: int, length: int, name: str) -> bytes:
    data = os.pread(descriptor, length, offset)
    if len(data) != length:
        raise ChangedWhileRead(
            f"{name} ends at byte {offset + len(data)}, {length - len(data)} bytes before it should",
            hint="stop what writes to it, then run again",
        )
    return data
