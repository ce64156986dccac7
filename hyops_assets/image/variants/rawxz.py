"""Disk to raw.xz and back to a digest: an encoder that knows what disk images are made of.

A disk image is mostly holes and mostly compressed files already (a squashfs), which `xz -6` spends minutes on.
This encoder writes the same container, for every stock decoder, and spends its time only where it pays:

- one stream of independent blocks, compressed on all cores, decodable on all cores;
- a block of zeros is encoded once, and holes of the source are not read;
- a block that a sample shows to be incompressible is stored;
- everything else goes through LZMA2 at preset 6.

The bytes depend on the disk, the block size and liblzma, never on the number of threads. Memory is bounded by
threads times block size. Decoding is left to stock xz, which is what a rescue system runs.
"""

import hashlib
import lzma
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.partial import replacing
from hyops_assets.image.programs import ProgramFailed, run, streaming
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants import rawxz_format
from hyops_assets.image.variants.disk_pieces import DiskDigest, Piece, pieces_of
from hyops_assets.image.variants.encoded import Encoded, FileDigest, require_disk_size, require_unchanged

MIN_BLOCK_BYTES = 1 << 12
# The dictionary is as large as the block, and an encoder takes eleven times as much memory in every thread.
MAX_BLOCK_BYTES = 8 << 20
DEFAULT_BLOCK_BYTES = 512 << 10
_PRESET = 6
_PIECES_IN_FLIGHT_PER_THREAD = 8
# The sample is LZMA, not zlib: zlib's output differs between implementations, and the decision it takes is part
# of the bytes.
_SAMPLES = 8
_SAMPLE_BYTES = 1 << 10
_SAMPLE_PRESET = 0
_WORTHWHILE = 0.97


class BadBlockSize(Refused):
    """A block size that the encoder does not write."""


class BadRawXz(HyopsError):
    """A file that stock xz does not decode to a disk."""


class VariantDiffers(HyopsError):
    """A variant holds another disk than its record: one record, one disk."""

    def __init__(self, *, found: Disk, expected: Disk) -> None:
        super().__init__(
            f"the disk of this variant is {found.sha256} ({found.size_bytes} bytes), not the record's"
            f" {expected.sha256} ({expected.size_bytes} bytes)",
            hint="build the record again; if it happens twice, check the host's disk and memory",
        )
        self.found = found
        self.expected = expected


@dataclass(frozen=True)
class _Run:
    """Equal blocks, one after another."""

    block: rawxz_format.Block
    times: int = 1


def encode(
    disk: Path,
    destination: Path,
    *,
    threads: int | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    progress: Progress = silent,
) -> Encoded:
    """Write a raw disk as raw.xz, and return the digests of both, taken in the same pass.

    Args:
        disk: the raw disk; sparse ones are read sparsely.
        destination: appears when it is complete; an older file of that name is replaced.
        threads: compressing threads; all cores by default.
        block_bytes: uncompressed bytes of a block, a power of two from 4 KiB to 8 MiB. Smaller blocks find more
            zeros and cost ratio: 512 KiB is the measured optimum of time (docs/benchmarks.md).
        progress: told the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotADisk: the disk is empty or no whole number of sectors.
        BadBlockSize: the block size is out of range or no power of two.
        ChangedWhileRead: the disk was written to meanwhile.
        NoSpace: the file does not fit.
        BeingWritten: another process writes the same destination.
    """
    _require_block_size(block_bytes)
    with (
        disk.open("rb", buffering=0) as source,
        space_needed(destination.absolute().parent, 0),
        replacing(destination) as partial,
        partial.open("wb") as output,
    ):
        before = os.fstat(source.fileno())
        size = require_disk_size(before.st_size, disk.name)
        compressor = _Compressor(block_bytes)
        disk_digest = DiskDigest()
        file_digest = FileDigest()
        index = rawxz_format.Index()

        def write(data: bytes) -> None:
            output.write(data)
            file_digest.update(data)

        write(rawxz_format.stream_header())
        done = 0
        pieces = pieces_of(source.fileno(), size, block_bytes, disk.name)
        for piece, runs in _in_order(pieces, compressor, disk_digest, threads or os.cpu_count() or 1):
            for run in runs:
                index.add(run.block, run.times)
                write(run.block.data * run.times)
            done += piece.size_bytes
            progress("encode raw.xz", done, size)
        write(index.ending())
        require_unchanged(before, os.fstat(source.fileno()), disk.name)
        return file_digest.encoded(Disk(size_bytes=size, sha256=disk_digest.hexdigest()))


def decoded_disk(path: Path, *, progress: Progress = silent) -> Disk:
    """Return the disk that stock `xz -T0 -dc` makes of a file.

    Raises:
        BadRawXz: xz refuses it (corrupt, truncated, another format).
        NotADisk: it holds no whole number of sectors, or more than 1 TiB.
        MissingProgram: xz is not installed.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        total = require_disk_size(_promised_bytes(path), path.name)
        with closing(streaming(["xz", "-T0", "-dc", "--", path.resolve()])) as pieces:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                progress("decode raw.xz", size, total)
    except ProgramFailed as error:
        raise BadRawXz(
            f"{path.name} does not decode: {error.message}",
            hint="encode or fetch the file again; these are not the bytes that were written",
        ) from error
    return Disk(size_bytes=size, sha256=digest.hexdigest())


def _promised_bytes(path: Path) -> int:
    """Return how many bytes a file's index promises; decoding holds it to that."""
    listed = run(["xz", "--robot", "--list", "--", path.resolve()]).text
    totals = next(line for line in listed.splitlines() if line.startswith("totals\t"))
    return int(totals.split("\t")[4])


class _Compressor:
    """Turns pieces into blocks. Its methods run in several threads at once and share only constants."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._filters = [{"id": lzma.FILTER_LZMA2, "preset": _PRESET, "dict_size": block_bytes}]
        self._zeros = bytes(block_bytes)
        self._zero_block = self._compressed(self._zeros)

    def runs(self, piece: Piece) -> list[_Run]:
        if piece.data is None:
            return self._zero_runs(piece.size_bytes)
        if piece.data == self._zeros:
            return [_Run(self._zero_block)]
        return [_Run(self._stored(piece.data) if _is_incompressible(piece.data) else self._compressed(piece.data))]

    def _zero_runs(self, size_bytes: int) -> list[_Run]:
        whole, rest = divmod(size_bytes, self._block_bytes)
        runs = [_Run(self._zero_block, whole)] if whole else []
        return [*runs, _Run(self._compressed(bytes(rest)))] if rest else runs

    def _compressed(self, data: bytes) -> rawxz_format.Block:
        return self._block(lzma.compress(data, lzma.FORMAT_RAW, filters=self._filters), data)

    def _stored(self, data: bytes) -> rawxz_format.Block:
        return self._block(rawxz_format.stored(data), data)

    def _block(self, payload: bytes, data: bytes) -> rawxz_format.Block:
        return rawxz_format.block(
            payload,
            uncompressed_bytes=len(data),
            check=rawxz_format.block_check(data),
            dictionary_bytes=self._block_bytes,
        )


def _in_order(
    pieces: Iterator[Piece], compressor: _Compressor, disk_digest: DiskDigest, threads: int
) -> Iterator[tuple[Piece, list[_Run]]]:
    """Compress pieces on several threads and hash them on one more; yield them in the disk's order.

    Both may lag behind the reader by a fixed number of pieces, which bounds the memory. Hashing has a thread of
    its own because zeros cost it as much as data does: while it works through a hole, later blocks are compressed.
    """
    pending: deque[tuple[Piece, Future[list[_Run]], Future[None]]] = deque()

    def oldest() -> tuple[Piece, list[_Run]]:
        piece, runs, hashed = pending.popleft()
        hashed.result()
        return piece, runs.result()

    with _workers(threads) as compressing, _workers(1) as hashing:
        for piece in pieces:
            pending.append(
                (piece, compressing.submit(compressor.runs, piece), hashing.submit(disk_digest.update, piece))
            )
            if len(pending) >= threads * _PIECES_IN_FLIGHT_PER_THREAD:
                yield oldest()
        while pending:
            yield oldest()


@contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that stop with the block: what has not begun by then is dropped."""
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _is_incompressible(data: bytes) -> bool:
    """Tell from a few places of a block whether LZMA would gain nothing worth its time on it."""
    stride = max(len(data) // _SAMPLES, 1)
    width = min(_SAMPLE_BYTES, stride)
    sample = b"".join(data[start : start + width] for start in range(0, len(data), stride))
    filters = [{"id": lzma.FILTER_LZMA2, "preset": _SAMPLE_PRESET, "dict_size": 1 << 14}]
    return len(lzma.compress(sample, lzma.FORMAT_RAW, filters=filters)) > len(sample) * _WORTHWHILE


def _require_block_size(block_bytes: int) -> None:
    if not MIN_BLOCK_BYTES <= block_bytes <= MAX_BLOCK_BYTES or block_bytes & (block_bytes - 1):
        raise BadBlockSize(
            f"blocks of {block_bytes} bytes cannot be written",
            hint=f"give a power of two from {MIN_BLOCK_BYTES} to {MAX_BLOCK_BYTES}",
        )
