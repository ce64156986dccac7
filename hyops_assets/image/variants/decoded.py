"""Both variants of a record decoded by the stock programs, at the same time: rule 1 of a record, one disk."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.digests import CHUNK_BYTES, sha256_of_file
from hyops_assets.image.holes import extents
from hyops_assets.image.variants import qemu_img, stock_xz

_ASK_EVERY_SECONDS = 0.1


class _Stopped(Exception):
    """Ends the work in the other thread, and goes no further."""


def decoded_disks(
    qcow2_file: Path, raw_xz_file: Path, scratch: Path, *, progress: Progress = silent
) -> dict[str, Disk]:
    """Return the disks that `qemu-img` and `xz` make of a record's variants, by format.

    The disk of the qcow2 is hashed; the raw.xz's is compared with it byte for byte, which is as good and takes a
    tenth of the time, and hashed only where it is another one.

    Args:
        qcow2_file: one variant.
        raw_xz_file: the other one.
        scratch: a directory with room for both disks, as sparse as they are; left as it was.
        progress: called with the raw.xz's bytes done, then the qcow2's; cancels both by raising.

    Raises:
        as `qemu_img.decode` and `stock_xz.decode` do.
    """
    of_qcow2, of_raw_xz = scratch / "of-qcow2.decoded", scratch / "of-raw-xz.decoded"
    stopped = threading.Event()
    latest: tuple[str, int, int | None] = ("decode qcow2", 0, None)

    def aside(stage: str, done: int, total: int | None) -> None:
        nonlocal latest
        if stopped.is_set():
            raise _Stopped
        latest = (stage, done, total)

    def hashed() -> Disk:
        qemu_img.decode(qcow2_file, of_qcow2, progress=aside)
        return _disk(of_qcow2, aside)

    try:
        with ThreadPoolExecutor(1) as thread:
            try:
                pending = thread.submit(hashed)
                stock_xz.decode(raw_xz_file, of_raw_xz, progress=progress)
                found = _awaited(pending, lambda: progress(*latest))
            finally:
                stopped.set()
        same = found if same_bytes(of_qcow2, of_raw_xz) else _disk(of_raw_xz, progress)
        return {"qcow2": found, "raw.xz": same}
    finally:
        for left in (of_qcow2, of_raw_xz):
            left.unlink(missing_ok=True)


def same_bytes(one: Path, other: Path) -> bool:
    """Tell whether two sparse files hold the same bytes; what is a hole in both is not read."""
    size = one.stat().st_size
    if other.stat().st_size != size:
        return False
    with one.open("rb", buffering=0) as first, other.open("rb", buffering=0) as second:
        descriptors = first.fileno(), second.fileno()
        parts = {
            (start, min(start + CHUNK_BYTES, extent.end))
            for descriptor in descriptors
            for extent in extents(descriptor, size)
            if not extent.hole
            for start in range(extent.start, extent.end, CHUNK_BYTES)
        }
        return all(
            os.pread(descriptors[0], end - start, start) == os.pread(descriptors[1], end - start, start)
            for start, end in sorted(parts)
        )


def _disk(raw: Path, progress: Progress) -> Disk:
    return Disk(size_bytes=raw.stat().st_size, sha256=sha256_of_file(raw, stage="hash disk", progress=progress))


def _awaited(pending: Future[Disk], tell: Callable[[], None]) -> Disk:
    """Return what the other thread found, telling how far it is meanwhile."""
    # A TimeoutError may also be the thread's own, of a disk that does not answer: `wait` tells the two apart.
    while not wait([pending], _ASK_EVERY_SECONDS).done:
        tell()
    return pending.result()
