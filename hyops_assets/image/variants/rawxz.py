"""Disk to raw.xz and back to a digest: an encoder that knows what disk images are made of.

A disk image is mostly holes and mostly compressed files already (a squashfs), which `xz -6` spends minutes on.
This encoder writes the same container, for every stock decoder, and spends its time only where it pays:

- one stream of independent blocks, compressed on all cores, decodable on all cores;
- blocks of zeros are merged to larger ones that were encoded once, and holes of the source are not read;
- a block that a sample shows to be incompressible is stored;
- everything else goes through LZMA2.

The bytes depend on the disk, the block size and liblzma, never on the number of threads or the disk's holes. Memory
is bounded by threads times block size. Decoding is left to stock xz, which is what a rescue system runs.
"""

import lzma
import os
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants import lzma_zeros, rawxz_format
from hyops_assets.image.variants.disk_pieces import Piece
from hyops_assets.image.variants.disk_source import DiskFormat, EncodingProgress, digest_aside, open_disk
from hyops_assets.image.variants.encoded import Encoded, FileDigest
from hyops_assets.image.variants.entropy import is_noise
from hyops_assets.image.variants.ordered_map import ordered_map
from hyops_assets.image.variants.stock_xz import BadRawXz, decode

__all__ = ["BadBlockSize", "BadRawXz", "Encoded", "VariantDiffers", "decode", "encode"]

MIN_BLOCK_BYTES = 1 << 12
# The dictionary is as large as the block, and an encoder takes eleven times as much memory in every thread.
MAX_BLOCK_BYTES = 8 << 20
DEFAULT_BLOCK_BYTES = 512 << 10
# A disk's squashfs is noise; what remains are programs and scripts of the overlay. On those preset 6 takes five times
# as long as 1 and saves 5 to 10 %: of a 650 MB file, one part in a thousand.
_PRESET = 1
_ZERO_BLOCK_BYTES = lzma_zeros.MAX_ZEROS
_ZERO_DICTIONARY_BYTES = 1 << 16


class BadBlockSize(Refused):
    """A block size that the encoder does not write."""


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


def encode(
    disk: Path,
    destination: Path,
    *,
    disk_format: DiskFormat = "raw",
    threads: int | None = None,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    progress: Progress = silent,
) -> Encoded:
    """Write a disk as raw.xz, and return the digests of both, taken in the same pass.

    Args:
        disk: the disk; sparse ones are read sparsely.
        destination: appears when it is complete; an older file of that name is replaced.
        disk_format: what `disk` is. A qcow2 is read as it is; no raw copy is written.
        threads: compressing threads; all cores by default.
        block_bytes: uncompressed bytes of a block, a power of two from 4 KiB to 8 MiB. Smaller blocks find more
            zeros and cost ratio: 512 KiB is the measured optimum of time (docs/benchmarks.md).
        progress: called with the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotADisk: the disk is empty or no whole number of sectors.
        NotPlainQcow2, BadQcow2: the disk is a qcow2 that cannot be read.
        BadBlockSize: the block size is out of range or no power of two.
        ChangedWhileRead: the disk was written to meanwhile.
        NoSpace: the file does not fit.
        BeingWritten: another process writes the same destination.
    """
    _require_block_size(block_bytes)
    directory = destination.absolute().parent
    with (
        space_needed(directory, 0),
        open_disk(disk, disk_format, scratch=directory, progress=progress) as source,
        replacing(destination) as partial,
        partial.open("wb") as output,
        digest_aside(source) as digest,
    ):
        encoding = EncodingProgress(progress, "encode raw.xz", digest, source.size_bytes)
        file_digest = FileDigest()

        def write(data: bytes) -> None:
            output.write(data)
            file_digest.update(data)

        stream = _Stream(write)
        compressor = _Compressor(block_bytes)
        pieces = source.pieces(block_bytes)
        with closing(ordered_map(pieces, compressor.block, threads=threads or os.cpu_count() or 1)) as blocks:
            for piece, block in blocks:
                stream.add(piece, block)
                encoding.encoded(piece.size_bytes)
        stream.finish()
        output.flush()
        found = encoding.disk()
        source.require_unchanged()
        return file_digest.encoded(found)


class _Compressor:
    """Turns pieces into blocks. Its methods run in several threads at once and share only constants."""

    def __init__(self, block_bytes: int) -> None:
        self._block_bytes = block_bytes
        self._filters = [{"id": lzma.FILTER_LZMA2, "preset": _PRESET, "dict_size": block_bytes}]
        self._zeros = bytes(block_bytes)

    def block(self, piece: Piece) -> rawxz_format.Block | None:
        """Return a piece's block; None where it is of zeros, which `_Stream` writes."""
        data = piece.data
        if data is None or data == self._zeros[: len(data)]:
            return None
        if is_noise(data):
            payload = rawxz_format.stored(data)
        else:
            payload = lzma.compress(data, lzma.FORMAT_RAW, filters=self._filters)
        return _block(payload, data, self._block_bytes)


class _Stream:
    """Writes blocks in the disk's order, and zeros as few large blocks however they came."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._index = rawxz_format.Index()
        self._zeros = 0
        write(rawxz_format.stream_header())

    def add(self, piece: Piece, block: rawxz_format.Block | None) -> None:
        """Write the disk's next piece; `block` is None where it is of zeros."""
        if block is None:
            self._zeros += piece.size_bytes
            return
        self._write_zeros()
        self._write_block(block)

    def finish(self) -> None:
        """Write what ends the stream."""
        self._write_zeros()
        self._write(self._index.ending())

    def _write_zeros(self) -> None:
        whole, rest = divmod(self._zeros, _ZERO_BLOCK_BYTES)
        if whole:
            self._write_block(_large_zero_block(), whole)
        if rest:
            self._write_block(_small_zero_block(rest))
        self._zeros = 0

    def _write_block(self, block: rawxz_format.Block, times: int = 1) -> None:
        self._index.add(block, times)
        for _ in range(times):
            self._write(block.data)


@cache
def _large_zero_block() -> rawxz_format.Block:
    return _block(lzma_zeros.zeros(_ZERO_BLOCK_BYTES), bytes(_ZERO_BLOCK_BYTES), _ZERO_DICTIONARY_BYTES)


def _small_zero_block(size: int) -> rawxz_format.Block:
    zeros = bytes(size)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": _PRESET, "dict_size": _ZERO_DICTIONARY_BYTES}]
    return _block(lzma.compress(zeros, lzma.FORMAT_RAW, filters=filters), zeros, _ZERO_DICTIONARY_BYTES)


def _block(payload: bytes, data: bytes, dictionary_bytes: int) -> rawxz_format.Block:
    return rawxz_format.block(
        payload,
        uncompressed_bytes=len(data),
        check=rawxz_format.block_check(data),
        dictionary_bytes=dictionary_bytes,
    )


def _require_block_size(block_bytes: int) -> None:
    if not MIN_BLOCK_BYTES <= block_bytes <= MAX_BLOCK_BYTES or block_bytes & (block_bytes - 1):
        raise BadBlockSize(
            f"blocks of {block_bytes} bytes cannot be written",
            hint=f"give a power of two from {MIN_BLOCK_BYTES} to {MAX_BLOCK_BYTES}",
        )
