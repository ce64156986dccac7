"""What qemu-img does here: decode a qcow2 as every user of it will, and judge the structure of one.

Encoding is our own (`qcow2_writer.py`); that the stock program reads what it wrote is seen by the stock program.
"""

import re
from contextlib import closing
from pathlib import Path
from typing import Any

from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.bounded import Limits, run_bounded, stream_bounded
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants.decoding import limits_for, require_modest
from hyops_assets.image.variants.encoded import require_disk_size
from hyops_assets.image.variants.qcow2_header import BadQcow2, require_plain_qcow2
from hyops_assets.image.variants.qcow2_reader import Qcow2Disk

_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")
_STAGE = "decode qcow2"
_MOST_TOLD_BYTES = 1 << 20
_AGAIN = "encode or fetch the file again; where that does not help, check the host's disk and memory"


def decode(qcow2: Path, raw: Path, *, progress: Progress = silent) -> None:
    """Write the disk that a qcow2 holds as a sparse raw file. Safe on a file that comes from elsewhere.

    Args:
        qcow2: its header is read before qemu-img opens it.
        raw: appears when it is complete. Its digest is not taken here.
        progress: called with the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        NotPlainQcow2: it is no qcow2, or does not hold its whole disk in itself.
        NotADisk: its disk is empty or no whole number of sectors.
        BadQcow2: it was cut off, or qemu-img cannot read it.
        OverBudget: its disk holds more data than a router's, or more than its file has.
        NoSpace: the disk does not fit.
        BeingWritten: another process writes the same destination.
        MissingProgram: qemu-img is not installed.
    """
    size = _require_whole(qcow2)
    with replacing(raw) as partial:
        # -W: out of order, for a raw file's bytes do not show in which order they were written. Paths are absolute,
        # because qemu-img takes a relative one such as `nbd:x` for a protocol.
        options = ["-p", "-W", "-f", "qcow2", "-O", "raw"]
        words = ["qemu-img", "convert", *options, qcow2.resolve(), partial.resolve()]
        try:
            with (
                space_needed(partial.resolve().parent, 0),
                closing(
                    stream_bounded(
                        words,
                        limits=limits_for(size, output_bytes=_MOST_TOLD_BYTES),
                        waiting=lambda: require_modest(partial, qcow2.name),
                    )
                ) as pieces,
            ):
                for piece in pieces:
                    if percents := _PERCENT.findall(piece):
                        progress(_STAGE, int(size * float(percents[-1]) / 100), size)
        except ProgramFailed as error:
            raise BadQcow2(f"{_STAGE}: {error.message}", hint=_AGAIN) from error


def _require_whole(qcow2: Path) -> int:
    """Return the disk's size. qemu-img reads clusters beyond the end of a file as zeros, without an error."""
    header = require_plain_qcow2(qcow2)
    if not header.newer_reader:
        with qcow2.open("rb", buffering=0) as file:
            Qcow2Disk(file.fileno(), header, qcow2.name).require_whole()
    return require_disk_size(header.disk_bytes, qcow2.name)


def require_sound(qcow2: Path, disk_bytes: int) -> None:
    """Verify the structure of a qcow2, its size, and that it stands alone.

    Raises:
        BadQcow2: qemu-img finds an error, or a cluster that nothing uses.
        NotPlainQcow2: it does not hold its whole disk in itself.
    """
    header = require_plain_qcow2(qcow2)
    if header.disk_bytes != disk_bytes:
        raise BadQcow2(f"{qcow2.name} holds a disk of {header.disk_bytes} bytes, expected {disk_bytes}", hint=_AGAIN)
    words = ["qemu-img", "check", "-f", "qcow2", "--output=json", qcow2.resolve()]
    checked = run_bounded(words, limits=Limits(seconds=120), ok=(0, 1, 2, 3))
    report = _report(checked.stdout)
    errors = {name: report[name] for name in ("corruptions", "leaks", "check-errors") if report.get(name)}
    if errors or not report:
        raise BadQcow2(
            f"{qcow2.name} is not sound: {errors or checked.stderr.strip() or 'qemu-img check gave no report'}",
            hint=_AGAIN,
        )


def _report(printed: bytes) -> dict[str, Any]:
    """Return what `qemu-img check` printed; empty where it is no report."""
    try:
        report = parsed_json(printed)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}
