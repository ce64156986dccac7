"""Disk to qcow2 and back, by qemu-img.

The same disk gives the same bytes, run after run: clusters are written in order, and nothing in the file depends
on time or chance. Deflate, not zstd: every qemu-img that is still in use reads it, those before 5.1 (2020) and
builds without zstd included; zstd would encode eight times as fast and save no bytes on a disk whose squashfs is
compressed already (docs/benchmarks.md).
"""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.partial import replacing
from hyops_assets.image.programs import ProgramFailed, run, streaming
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants.encoded import Encoded, digest_of_file, require_disk_size, require_unchanged
from hyops_assets.image.variants.qcow2_header import NotPlainQcow2, require_plain_qcow2

__all__ = ["BadQcow2", "Encoded", "NotPlainQcow2", "decode", "decoded_disk", "encode"]

_CREATE_OPTIONS = "compat=1.1,cluster_size=65536,compression_type=zlib,lazy_refcounts=off,preallocation=off"
_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")


class BadQcow2(HyopsError):
    """A qcow2 that qemu-img does not read, or wrote otherwise than it was asked to."""


def encode(disk: Path, destination: Path, *, progress: Progress = silent) -> Encoded:
    """Write a raw disk as compressed qcow2, check it, and return the digests of both.

    Args:
        disk: the raw disk.
        destination: appears when it is complete and checked; an older file of that name is replaced.
        progress: told the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotADisk: the disk is empty or no whole number of sectors.
        ChangedWhileRead: the disk was written to meanwhile.
        BadQcow2: qemu-img failed, or the file it wrote is not sound.
        NoSpace: the file does not fit.
        BeingWritten: another process writes the same destination.
        MissingProgram: qemu-img is not installed.
    """
    before = disk.stat()
    size = require_disk_size(before.st_size, disk.name)
    with replacing(destination) as partial, ThreadPoolExecutor(1) as hashing:
        disk_sha256 = hashing.submit(sha256_of_file, disk)
        options = ["-c", "-f", "raw", "-O", "qcow2", "-o", _CREATE_OPTIONS]
        _convert(options, disk, partial, "encode qcow2", size, progress)
        _require_sound(partial, size)
        written = digest_of_file(partial, stage="hash qcow2", progress=progress)
        require_unchanged(before, disk.stat(), disk.name)
        return written.encoded(Disk(size_bytes=size, sha256=disk_sha256.result()))


def decode(qcow2: Path, raw: Path, *, progress: Progress = silent) -> None:
    """Write the disk that a qcow2 holds as a sparse raw file. Safe on a file that comes from elsewhere.

    Args:
        qcow2: its header is read before qemu-img opens it.
        raw: appears when it is complete. Its digest is not taken here: `decoded_disk` does.
        progress: told the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotPlainQcow2: it is no qcow2, or does not hold its whole disk in itself.
        NotADisk: its disk is empty or no whole number of sectors.
        BadQcow2: qemu-img cannot read it.
        NoSpace: the disk does not fit.
        BeingWritten: another process writes the same destination.
        MissingProgram: qemu-img is not installed.
    """
    size = require_disk_size(require_plain_qcow2(qcow2).disk_bytes, qcow2.name)
    with replacing(raw) as partial:
        # Out of order: a raw file's bytes do not show in which order they were written.
        options = ["-W", "-f", "qcow2", "-O", "raw"]
        _convert(options, qcow2, partial, "decode qcow2", size, progress)


def decoded_disk(qcow2: Path, scratch: Path, *, progress: Progress = silent) -> Disk:
    """Return the disk that a qcow2 decodes to; `scratch` is a directory with room for it, left as it was.

    Raises:
        as `decode` does.
    """
    raw = scratch / f"{qcow2.name}.decoded"
    try:
        decode(qcow2, raw, progress=progress)
        return Disk(size_bytes=raw.stat().st_size, sha256=sha256_of_file(raw, stage="hash disk", progress=progress))
    finally:
        raw.unlink(missing_ok=True)


def _convert(options: Sequence[str], source: Path, target: Path, stage: str, size: int, progress: Progress) -> None:
    """Run `qemu-img convert`, telling progress from the percentages it prints.

    Paths are made absolute: qemu-img takes a relative one such as `nbd:x` for a protocol.
    """
    words = ["qemu-img", "convert", "-p", *options, source.resolve(), target.resolve()]
    try:
        with space_needed(target.resolve().parent, 0), closing(streaming(words)) as pieces:
            for piece in pieces:
                if percents := _PERCENT.findall(piece):
                    progress(stage, int(size * float(percents[-1]) / 100), size)
    except ProgramFailed as error:
        raise BadQcow2(f"{stage}: {error.message}", hint="encode or fetch the file again") from error


def _require_sound(qcow2: Path, disk_bytes: int) -> None:
    """Verify what qemu-img wrote: its structure, its size, and that it stands alone."""
    header = require_plain_qcow2(qcow2)
    report = json.loads(run(["qemu-img", "check", "-f", "qcow2", "--output=json", qcow2.resolve()], ok=(0, 2, 3)).text)
    errors = {name: report[name] for name in ("corruptions", "leaks", "check-errors") if report.get(name)}
    if errors or header.disk_bytes != disk_bytes:
        raise BadQcow2(
            f"qemu-img wrote a qcow2 of {header.disk_bytes} bytes with {errors or 'no errors'}, where {disk_bytes}"
            " bytes without errors were asked for",
            hint="check the host's disk and memory, then run again",
        )
