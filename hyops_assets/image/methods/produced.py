"""Take over a disk file that others wrote: it must be theirs of this run, and a disk, in a format that we know."""

import os
from contextlib import closing
from pathlib import Path
from typing import Literal

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.holes import extents
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.partial import replacing
from hyops_assets.image.programs import ProgramFailed, streaming
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.image.variants.encoded import MAX_DISK_BYTES, require_disk_size

DiskFormat = Literal["qcow2", "raw.xz", "raw"]

_MAGICS: tuple[tuple[bytes, DiskFormat], ...] = ((b"QFI\xfb", "qcow2"), (b"\xfd7zXZ\0", "raw.xz"))
_FOREIGN = {
    b"KDMV": "a VMDK",
    b"conectix": "a VHD",
    b"vhdxfile": "a VHDX",
    b"<<< ": "a VDI",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK": "a ZIP archive",
}
_PIECE_BYTES = 1 << 20
_MBR_MAGIC, _MBR_MAGIC_AT = b"\x55\xaa", 510


def disk_format(path: Path) -> DiskFormat:
    """Tell a disk file's format by its content, never by its name.

    Raises:
        BuildFailed: it is no disk in a format that we know; says what it is where that can be told.
    """
    with path.open("rb") as file:
        head = file.read(_MBR_MAGIC_AT + len(_MBR_MAGIC))
    for magic, format_ in _MAGICS:
        if head.startswith(magic):
            return format_
    if head[_MBR_MAGIC_AT:] == _MBR_MAGIC:
        return "raw"
    found = next((name for magic, name in _FOREIGN.items() if head.startswith(magic)), "no partition table")
    raise BuildFailed(
        f"{path.name} ({path.stat().st_size} bytes) is no disk: {found} stands at its beginning",
        hint="a disk is a qcow2, a raw.xz or a raw image, with a partition table",
    )


def decode_disk(path: Path, raw: Path, *, progress: Progress = silent) -> DiskFormat:
    """Write the disk that a file holds as a sparse raw file, and return the file's format. The file is only read.

    Args:
        path: qcow2, raw.xz or raw; safe on a file that comes from elsewhere.
        raw: appears when it is complete.
        progress: told the bytes done.

    Raises:
        BuildFailed: it is no disk.
        NotPlainQcow2, BadQcow2, BadRawXz, NotADisk: it is a damaged one, or refers to other files.
        NoSpace: the disk does not fit.
    """
    format_ = disk_format(path)
    if format_ == "qcow2":
        qcow2.decode(path, raw, progress=progress)
    elif format_ == "raw.xz":
        _unpack(path, raw, progress)
    else:
        _copy_sparse(path, raw, progress)
    return format_


def _unpack(path: Path, raw: Path, progress: Progress) -> None:
    """Write what stock xz makes of a file; pieces of zeros become holes."""
    size = 0
    try:
        with (
            space_needed(raw.parent, 0),
            replacing(raw) as partial,
            partial.open("wb") as out,
            closing(streaming(["xz", "-T0", "-dc", "--", path.resolve()])) as pieces,
        ):
            for piece in pieces:
                if piece.strip(b"\0"):
                    out.seek(size)
                    out.write(piece)
                size += len(piece)
                if size > MAX_DISK_BYTES:
                    break
                progress("decode raw.xz", size, None)
            out.truncate(require_disk_size(size, path.name))
    except ProgramFailed as error:
        raise rawxz.BadRawXz(f"{path.name} does not decode: {error.message}", hint="fetch the file again") from error


def _copy_sparse(path: Path, raw: Path, progress: Progress) -> None:
    size = require_disk_size(path.stat().st_size, path.name)
    with space_needed(raw.parent, 0), replacing(raw) as partial, path.open("rb") as source, partial.open("wb") as out:
        out.truncate(size)
        for extent in extents(source.fileno(), size):
            source.seek(extent.start)
            out.seek(extent.start)
            left = 0 if extent.hole else extent.end - extent.start
            while left and (data := source.read(min(_PIECE_BYTES, left))):
                # A file that went through cp or a network has no holes any more.
                if data.strip(b"\0"):
                    out.write(data)
                else:
                    out.seek(len(data), os.SEEK_CUR)
                left -= len(data)
                progress("copy disk", extent.end - left, size)
