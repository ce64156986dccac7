"""Put large files into an ext4 file system: debugfs finds and marks their blocks, the kernel copies the bytes there.

`mkfs.ext4 -d` writes a file block by block, at a tenth of the disk's speed, and a VyOS disk is mostly one file. Where
source and disk share a file system that can, the kernel copies by sharing blocks.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError

COPY_BYTES = 32 << 20
_COMMAND = re.compile(r'debugfs: dump_extents -l "(.*)"')
_EXTENT = re.compile(r"\s*\d+/\s*\d+\s+\d+/\s*\d+\s+(\d+) -\s+\d+\s+(\d+) -\s+\d+\s+(\d+)(?: +Uninit)?\s*")
_CANNOT_SHARE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class BadExtents(HyopsError):
    """debugfs did not give a file the blocks that it needs."""


@dataclass(frozen=True)
class LargeFile:
    """A file that stands empty in the file system, and where its bytes are."""

    path: str
    source: Path
    size_bytes: int

    def blocks(self, block_bytes: int) -> int:
        """How many blocks it needs."""
        return -(-self.size_bytes // block_bytes)


@dataclass(frozen=True)
class Run:
    """Consecutive blocks of a file: the first one's number in the file, and in the file system."""

    logical: int
    physical: int
    length: int


def allocating(files: Sequence[LargeFile], block_bytes: int) -> Iterator[str]:
    """Yield the lines of a debugfs script that give every file its blocks and its size."""
    for file in files:
        yield f'fallocate "{file.path}" 0 {file.blocks(block_bytes) - 1}\n'
        yield f'sif "{file.path}" size {file.size_bytes}\n'


def asking(files: Sequence[LargeFile]) -> Iterator[str]:
    """Yield the lines of a debugfs script that lists every file's blocks; `listed` reads the answer."""
    for file in files:
        yield f'dump_extents -l "{file.path}"\n'


def listed(printed: str, files: Sequence[LargeFile], block_bytes: int) -> dict[str, list[Run]]:
    """Return every file's blocks.

    Raises:
        BadExtents: a file has not all of its blocks.
    """
    found: dict[str, list[Run]] = {file.path: [] for file in files}
    path = ""
    for line in printed.splitlines():
        if command := _COMMAND.fullmatch(line):
            path = command[1]
        elif extent := _EXTENT.fullmatch(line):
            found[path].append(Run(*(int(number) for number in extent.groups())))
    for file in files:
        covered = 0
        for run in found[file.path]:
            covered = covered + run.length if run.logical == covered else -1
        if covered != file.blocks(block_bytes):
            raise BadExtents(
                f"{file.path} needs {file.blocks(block_bytes)} blocks and has {found[file.path]}",
                hint="report this with the version of debugfs",
            )
    return found


def claiming(runs: dict[str, list[Run]]) -> Iterator[str]:
    """Yield the lines of a debugfs script after which a reader sees the bytes in the blocks, no longer zeros."""
    for path, of_file in runs.items():
        yield f'extent_open "{path}"\n'
        for run in of_file:
            yield f"goto_block {run.logical}\nreplace_node {run.logical} {run.length} {run.physical}\n"
        yield "extent_close\n"


def copy_bytes(
    disk: Path,
    offset: int,
    files: Sequence[LargeFile],
    runs: dict[str, list[Run]],
    block_bytes: int,
    copied: Callable[[int], None],
) -> None:
    """Copy every file's bytes to its blocks.

    Args:
        disk: the disk image.
        offset: where the file system begins, in bytes.
        files: the files.
        runs: their blocks.
        block_bytes: of the file system.
        copied: called with the bytes so far, after every piece; cancels by raising.

    Raises:
        OSError: a source cannot be read, or the disk not be written.
        BadExtents: a source is shorter than it was.
    """
    done = 0
    for file in files:
        with ExitStack() as stack:
            source = stack.enter_context(file.source.open("rb", buffering=0)).fileno()
            target = stack.enter_context(disk.open("r+b", buffering=0)).fileno()
            for run in runs[file.path]:
                at = run.logical * block_bytes
                shift = offset + run.physical * block_bytes - at
                end = min(file.size_bytes, at + run.length * block_bytes)
                while at < end:
                    count = _copy(source, target, at, at + shift, min(COPY_BYTES, end - at))
                    if not count:
                        raise BadExtents(f"{file.source.name} ends at byte {at}", hint="stop what writes to it")
                    at += count
                    done += count
                    copied(done)


def _copy(source: int, target: int, at: int, to: int, count: int) -> int:
    """Copy by the kernel; between two file systems it may know only the plain way."""
    try:
        return os.copy_file_range(source, target, count, at, to)
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
    os.lseek(target, to, os.SEEK_SET)
    return os.sendfile(target, source, at, count)
