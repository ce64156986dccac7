"""Decode a disk file that another program wrote: it must be a disk, in a format that we know."""

import os
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.holes import extents
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants import qcow2, stock_xz
from hyops_assets.image.variants.disk_source import DiskFormat, format_of, is_partitioned
from hyops_assets.image.variants.encoded import require_disk_size

_PIECE_BYTES = 1 << 20


def decode_disk(path: Path, raw: Path, *, progress: Progress = silent) -> DiskFormat:
    """Write the disk that a file holds as a sparse raw file, and return the file's format. The file is only read.

    Args:
        path: qcow2, raw.xz or raw, by its content and never by its name; safe on a file that comes from elsewhere.
        raw: appears when it is complete.
        progress: called with the bytes done.

    Raises:
        ForeignFormat: it is of a format that is known, and none of ours.
        BuildFailed: it has no partition table.
        NotPlainQcow2, BadQcow2, BadRawXz, NotADisk: it is a damaged one, or refers to other files.
        NoSpace: the disk does not fit.
    """
    format_ = format_of(path)
    if format_ == "raw":
        _require_disk(path, path.name)
        _copy_sparse(path, raw, progress)
        return format_
    decode = qcow2.decode if format_ == "qcow2" else stock_xz.decode
    decode(path, raw, progress=progress)
    try:
        _require_disk(raw, path.name)
    except BuildFailed:
        raw.unlink()
        raise
    return format_


def _require_disk(disk: Path, name: str) -> None:
    if not is_partitioned(disk):
        raise BuildFailed(
            f"{name} is no disk: no partition table stands at its beginning",
            hint="a disk is a qcow2, a raw.xz or a raw image, with a partition table",
        )


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
