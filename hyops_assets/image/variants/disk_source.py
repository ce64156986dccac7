"""A disk to encode, wherever it stands: in a raw file, in a qcow2 that is read as it is, or in a raw.xz.

What belongs here: opening a disk, and its digest, taken beside the encoding. How a qcow2 maps its disk belongs to
`qcow2_reader.py`.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.variants import qemu_img, stock_xz
from hyops_assets.image.variants.disk_pieces import DiskDigest, Piece, pieces_of
from hyops_assets.image.variants.encoded import require_disk_size, require_unchanged
from hyops_assets.image.variants.qcow2_header import require_plain_qcow2
from hyops_assets.image.variants.qcow2_reader import Qcow2Disk

DiskFormat = Literal["raw", "qcow2", "raw.xz"]

_MAGIC: Mapping[bytes, DiskFormat] = {b"QFI\xfb": "qcow2", b"\xfd7zXZ\x00": "raw.xz"}
_VHD = b"conectix"
_FOREIGN: tuple[tuple[str, int, bytes], ...] = (
    ("a VMDK", 0, b"KDMV"),
    ("a VMDK", 0, b"COWD"),
    ("a VMDK's descriptor", 0, b"# Disk DescriptorFile"),
    ("a VDI", 0x40, b"\x7f\x10\xda\xbe"),
    ("a VHDX", 0, b"vhdxfile"),
    ("a VHD", 0, _VHD),
    ("a QED", 0, b"QED\x00"),
    ("a Parallels disk", 0, b"WithoutFreeSpace"),
    ("a Parallels disk", 0, b"WithouFreSpacExt"),
    ("packed with gzip", 0, b"\x1f\x8b"),
    ("packed with zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("packed with bzip2", 0, b"BZh"),
    ("packed with lz4", 0, b"\x04\x22\x4d\x18"),
    ("a ZIP archive", 0, b"PK\x03\x04"),
    ("a tar archive", 257, b"ustar"),
    ("a web page", 0, b"<!DOCTYPE"),
    ("a web page", 0, b"<!doctype"),
    ("a web page", 0, b"<html"),
    ("an XML document", 0, b"<?xml"),
)
"""Formats that a disk comes in elsewhere, or that a server answers in its place: name, offset, first bytes there."""
_SECTOR_BYTES = 512
_HASH_BLOCK_BYTES = 1 << 20
_ASK_EVERY_SECONDS = 0.1


class DiskSource(Protocol):
    """A disk of a fixed size that can be read in its order, any number of times at once."""

    name: str
    size_bytes: int

    def pieces(self, block_bytes: int) -> Iterator[Piece]:
        """Cut the disk into blocks of data and runs of blocks that read as zeros."""
        ...

    def require_unchanged(self) -> None:
        """Verify that the file is the one that was opened.

        Raises:
            ChangedWhileRead: it was written to since.
        """
        ...


class ForeignFormat(Refused):
    """A file of a format that is none of ours, although its bytes could be read as a raw disk."""


def format_of(path: Path) -> DiskFormat:
    """Tell the format of a file that a person names, from its bytes; `open_disk` says who must not ask.

    Raises:
        ForeignFormat: it is of a format that is known, and none of ours.
    """
    with path.open("rb") as file:
        head = file.read(_SECTOR_BYTES)
        file.seek(max(0, file.seek(0, os.SEEK_END) - _SECTOR_BYTES))
        foot = file.read(_SECTOR_BYTES)
    for magic, format_ in _MAGIC.items():
        if head.startswith(magic):
            return format_
    found = next((name for name, at, magic in _FOREIGN if head[at:].startswith(magic)), None)
    # A fixed VHD is a raw disk with a footer behind it: one sector too long, and no disk that was digested before.
    if found or foot.startswith(_VHD):
        raise ForeignFormat(
            f"{path.name} is {found or 'a VHD'}, not a raw disk, a qcow2 or a raw.xz",
            hint="unpack it, or convert it first: qemu-img convert -O qcow2",
        )
    return "raw"


def is_partitioned(path: Path) -> bool:
    """Tell whether a raw disk shows that it is one: by the signature of its first sector (MBR, and GPT's own MBR)."""
    with path.open("rb") as file:
        return file.read(_SECTOR_BYTES).endswith(b"\x55\xaa")


@contextmanager
def open_disk(path: Path, format_: DiskFormat, *, scratch: Path, progress: Progress = silent) -> Iterator[DiskSource]:
    """Open a disk for an encoder. Safe on a file that comes from elsewhere.

    Args:
        path: a file of this format; a raw disk is never probed for another one, for its guest writes its bytes.
        format_: what it is.
        scratch: a directory with room for the disk, left as it was. A raw.xz needs it, which xz decodes first, and
            a qcow2 that asks for a newer reader (zstd, extended L2 entries), which qemu-img does.
        progress: called with the bytes of that decoding; cancels by raising.

    Raises:
        NotPlainQcow2: it is no qcow2, or does not hold its whole disk in itself.
        BadQcow2: its tables lead nowhere, or name the same clusters again and again.
        OverBudget: the disk holds more data than a router's.
        BadRawXz: xz refuses it.
        NotADisk: the disk is empty or no whole number of sectors.
    """
    if format_ == "raw":
        with path.open("rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            size = require_disk_size(before.st_size, path.name)
            yield _Unchanging(_RawDisk(file.fileno(), size, path.name), file, before)
        return
    if format_ == "qcow2":
        header = require_plain_qcow2(path)
        if not header.newer_reader:
            with path.open("rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                disk = Qcow2Disk(file.fileno(), header, path.name)
                disk.require_whole()
                yield _Unchanging(disk, file, before)
            return
    # Always the same name, which a later run takes over; hidden, because scratch may be a directory of people.
    raw = scratch / f".{path.name}.hyops-decoded"
    try:
        decode = qemu_img.decode if format_ == "qcow2" else stock_xz.decode
        decode(path, raw, progress=progress)
        with open_disk(raw, "raw", scratch=scratch) as disk:
            yield disk
    finally:
        raw.unlink(missing_ok=True)


@contextmanager
def digest_aside(source: DiskSource) -> Iterator["DigestAside"]:
    """Hash a disk in a thread of its own while the block encodes it; the thread ends with the block.

    It reads for itself. Handed the encoder's blocks instead, it would wait for the encoder while there is data,
    and then hash the zeros behind them alone; so both take the time of the slower one, which is the digest.
    """
    digest = DigestAside(source)
    with ThreadPoolExecutor(1) as thread:
        try:
            # Inside: Ctrl-C that comes while the thread starts would else wait until it has hashed the whole disk.
            digest.start(thread)
            yield digest
        finally:
            digest.stop()


class DigestAside:
    """A disk's digest on its way."""

    def __init__(self, source: DiskSource) -> None:
        self._source = source
        self._stopped = False
        self.done = 0
        """Bytes of the disk that were hashed."""

    def start(self, thread: ThreadPoolExecutor) -> None:
        """Begin to hash in a thread."""
        self._result = thread.submit(self._hash)

    def stop(self) -> None:
        """Let the thread end at its next piece, whatever it has."""
        self._stopped = True

    def disk(self, tell: Callable[[int], None]) -> Disk:
        """Wait for the digest and return the disk.

        Args:
            tell: called with the bytes done, ten times in a second; it cancels by raising.
        """
        # A TimeoutError may also be the thread's own, of a disk that does not answer: `wait` tells the two apart.
        while not wait([self._result], _ASK_EVERY_SECONDS).done:
            tell(self.done)
        digest = self._result.result()
        tell(self.done)
        return Disk(size_bytes=self._source.size_bytes, sha256=digest)

    def _hash(self) -> str:
        digest = DiskDigest()
        for piece in self._source.pieces(_HASH_BLOCK_BYTES):
            if self._stopped:
                break
            digest.update(piece)
            self.done += piece.size_bytes
        return digest.hexdigest()


class EncodingProgress:
    """Reports one progress of two cursors on the same disk: the bytes that both have passed."""

    def __init__(self, progress: Progress, stage: str, digest: DigestAside, total: int) -> None:
        self._progress, self._stage, self._digest, self._total = progress, stage, digest, total
        self._encoded = 0

    def encoded(self, size_bytes: int) -> None:
        """Note that the encoder passed so many bytes more."""
        self._encoded += size_bytes
        self._report(self._digest.done)

    def disk(self) -> Disk:
        """Wait for the digest, reporting how far it is, and return the disk."""
        return self._digest.disk(self._report)

    def _report(self, hashed: int) -> None:
        self._progress(self._stage, min(self._encoded, hashed), self._total)


class _RawDisk:
    def __init__(self, descriptor: int, size_bytes: int, name: str) -> None:
        self._descriptor = descriptor
        self.size_bytes = size_bytes
        self.name = name

    def pieces(self, block_bytes: int) -> Iterator[Piece]:
        return pieces_of(self._descriptor, self.size_bytes, block_bytes, self.name)


class _Unchanging:
    """A disk with the file that holds it."""

    def __init__(self, disk: _RawDisk | Qcow2Disk, file: BinaryIO, before: os.stat_result) -> None:
        self._disk, self._file, self._before = disk, file, before
        self.name, self.size_bytes = disk.name, disk.size_bytes

    def pieces(self, block_bytes: int) -> Iterator[Piece]:
        return self._disk.pieces(block_bytes)

    def require_unchanged(self) -> None:
        require_unchanged(self._before, os.fstat(self._file.fileno()), self.name)
