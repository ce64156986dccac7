"""Disk to qcow2, by our own writer, and back, by qemu-img.

The same disk gives the same bytes, run after run, on one core or many. Deflate, not zstd: every qemu-img that is
still in use reads it, those before 5.1 (2020) and builds without zstd included, and a disk whose squashfs is
compressed already gains nothing from another (docs/benchmarks.md).
"""

import os
from contextlib import closing
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants.disk_source import DiskFormat, EncodingProgress, digest_aside, open_disk
from hyops_assets.image.variants.encoded import Encoded, digest_of_file
from hyops_assets.image.variants.ordered_map import ordered_map
from hyops_assets.image.variants.qcow2_header import BadQcow2, NotPlainQcow2
from hyops_assets.image.variants.qcow2_writer import CLUSTER_BYTES, Qcow2Writer, clusters_of
from hyops_assets.image.variants.qemu_img import decode, require_sound

__all__ = ["BadQcow2", "Encoded", "NotPlainQcow2", "decode", "encode"]

_BLOCK_BYTES = 16 * CLUSTER_BYTES


def encode(
    disk: Path,
    destination: Path,
    *,
    disk_format: DiskFormat = "raw",
    threads: int | None = None,
    progress: Progress = silent,
) -> Encoded:
    """Write a disk as compressed qcow2, have qemu-img check it, and return the digests of both.

    Args:
        disk: the disk; sparse ones are read sparsely.
        destination: appears when it is complete and checked; an older file of that name is replaced.
        disk_format: what `disk` is.
        threads: deflating threads; all cores by default.
        progress: called with the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotADisk: the disk is empty or no whole number of sectors.
        NotPlainQcow2, BadQcow2: the disk is a qcow2 that cannot be read, or the file written is not sound.
        ChangedWhileRead: the disk was written to meanwhile.
        NoSpace: the file does not fit.
        BeingWritten: another process writes the same destination.
        MissingProgram: qemu-img is not installed.
    """
    directory = destination.absolute().parent
    with (
        space_needed(directory, 0),
        open_disk(disk, disk_format, scratch=directory, progress=progress) as source,
        replacing(destination) as partial,
        partial.open("r+b", buffering=0) as output,
        digest_aside(source) as digest,
    ):
        encoding = EncodingProgress(progress, "encode qcow2", digest, source.size_bytes)
        writer = Qcow2Writer(output.fileno(), source.size_bytes)
        pieces = source.pieces(_BLOCK_BYTES)
        with closing(ordered_map(pieces, clusters_of, threads=threads or os.cpu_count() or 1)) as results:
            for piece, clusters in results:
                writer.add(clusters)
                encoding.encoded(piece.size_bytes)
        writer.finish()
        require_sound(partial, source.size_bytes)
        written = digest_of_file(partial, stage="hash qcow2", progress=progress)
        found = encoding.disk()
        source.require_unchanged()
        return written.encoded(found)
