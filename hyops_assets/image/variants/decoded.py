"""Both variants of a record decoded by the stock programs, at the same time: rule 1 of a record, one disk."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Disk
from hyops_assets.image.variants import qcow2, stock_xz

_ASK_EVERY_SECONDS = 0.1


class _Stopped(Exception):
    """Ends the decoder in the other thread, and is seen by nobody."""


def decoded_disks(
    qcow2_file: Path, raw_xz_file: Path, scratch: Path, *, progress: Progress = silent
) -> dict[str, Disk]:
    """Return the disks that `qemu-img` and `xz` make of a record's variants, by format.

    Args:
        qcow2_file: one variant.
        raw_xz_file: the other one.
        scratch: a directory with room for the disk, left as it was.
        progress: told the raw.xz's bytes done, then the qcow2's; cancels both by raising.

    Raises:
        as `qcow2.decoded_disk` and `rawxz.decoded_disk` do.
    """
    stopped = threading.Event()
    latest = ("decode qcow2", 0, None)

    def aside(stage: str, done: int, total: int | None) -> None:
        nonlocal latest
        if stopped.is_set():
            raise _Stopped
        latest = (stage, done, total)

    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(qcow2.decoded_disk, qcow2_file, scratch, progress=aside)
        try:
            found = {"raw.xz": stock_xz.decoded_disk(raw_xz_file, progress=progress)}
            while True:
                try:
                    found["qcow2"] = pending.result(timeout=_ASK_EVERY_SECONDS)
                except TimeoutError:
                    progress(*latest)
                else:
                    return found
        finally:
            stopped.set()
