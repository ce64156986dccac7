"""Where a sparse file has data and where it has holes, as the file system tells (lseek(2), SEEK_DATA)."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from hyops_assets.contract.errors import Refused


class ChangedWhileRead(Refused):
    """A file changed while it was read, so that its digest describes neither state."""


@dataclass(frozen=True)
class Extent:
    """A range of a file: bytes from `start` up to `end`; a hole reads as zeros."""

    start: int
    end: int
    hole: bool


def extents(descriptor: int, size: int) -> Iterator[Extent]:
    """Yield the extents of a file in order, without a gap, up to `size` bytes.

    A file system that knows no holes tells one extent of data.
    """
    offset = 0
    while offset < size:
        data = next_data(descriptor, offset, size)
        if data > offset:
            yield Extent(offset, data, hole=True)
        if data >= size:
            return
        end = min(os.lseek(descriptor, data, os.SEEK_HOLE), size)
        yield Extent(data, end, hole=False)
        offset = end


def next_data(descriptor: int, offset: int, size: int) -> int:
    """Return where the next data begins at or after `offset`; `size` where only a hole follows."""
    try:
        return min(os.lseek(descriptor, offset, os.SEEK_DATA), size)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise
