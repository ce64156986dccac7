"""Disk to a raw file: sparse, with its digests, from whatever format holds the disk."""

from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants.disk_source import DiskFormat, open_disk
from hyops_assets.image.variants.encoded import Encoded, FileDigest

_BLOCK_BYTES = 1 << 20
_ZEROS = bytes(CHUNK_BYTES)


def encode(disk: Path, destination: Path, *, disk_format: DiskFormat = "raw", progress: Progress = silent) -> Encoded:
    """Write a disk as a sparse raw file, and return its digests; the file's are the disk's.

    Args:
        disk: the disk.
        destination: appears when it is complete; an older file of that name is replaced.
        disk_format: what `disk` is.
        progress: called with the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotADisk: the disk is empty or no whole number of sectors.
        NotPlainQcow2, BadQcow2, BadRawXz: the disk is encoded, and cannot be read.
        ChangedWhileRead: the disk was written to meanwhile.
        NoSpace: the file does not fit.
        BeingWritten: another process writes the same destination.
    """
    directory = destination.absolute().parent
    with (
        space_needed(directory, 0),
        open_disk(disk, disk_format, scratch=directory, progress=progress) as source,
        replacing(destination) as partial,
        partial.open("wb") as output,
    ):
        digest = FileDigest()
        for piece in source.pieces(_BLOCK_BYTES):
            if piece.data is None:
                for start in range(0, piece.size_bytes, CHUNK_BYTES):
                    digest.update(_ZEROS[: piece.size_bytes - start])
            else:
                output.seek(digest.size_bytes)
                output.write(piece.data)
                digest.update(piece.data)
            progress("write raw", digest.size_bytes, source.size_bytes)
        output.truncate(source.size_bytes)
        source.require_unchanged()
        return digest.encoded(Disk(size_bytes=source.size_bytes, sha256=digest.sha256))
