"""What stock xz does here: decode a raw.xz as every user of it will. Encoding is our own (`rawxz.py`)."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.image.space import space_needed
from hyops_assets.image.variants.decoding import limits_for, require_modest
from hyops_assets.image.variants.encoded import require_disk_size

_STAGE = "decode raw.xz"
# A file may ask for a dictionary of 4 GiB, and for as much for each thread. Preset 9 takes 65 MiB; where a second
# thread does not fit, xz decodes with one.
_DECODE = ("xz", "--memlimit-decompress=192MiB", "--memlimit-mt-decompress=128MiB", "-T0", "-dc", "--")


class BadRawXz(HyopsError):
    """A file that stock xz does not decode to a disk."""


def decode(packed: Path, raw: Path, *, progress: Progress = silent) -> None:
    """Write the disk that `xz -T0 -dc` makes of a file as a sparse raw file.

    Args:
        packed: the raw.xz.
        raw: appears when it is complete. Its digest is not taken here: `decoded_disks` does.
        progress: called with the disk's bytes done; cancels by raising, and the partial file is removed.

    Raises:
        BadRawXz: xz refuses it (corrupt, truncated, another format).
        NotADisk: it holds no whole number of sectors, or more than 1 TiB.
        OverBudget: it holds more data than a router's disk, or more bytes than it promises.
        NoSpace: the disk does not fit.
        BeingWritten: another process writes the same destination.
        MissingProgram: xz is not installed.
    """
    with space_needed(raw.absolute().parent, 0), replacing(raw) as partial, _as_bad_raw_xz(packed):
        total = require_disk_size(promised_bytes(packed), packed.name)

        def report() -> None:
            require_modest(partial, packed.name)
            progress(_STAGE, min(partial.stat().st_size, total), total)

        with partial.open("wb") as output:
            # xz leaves runs of zeros out where its standard output is a regular file: a disk is mostly zeros.
            limits = limits_for(total, output_bytes=0)
            run_bounded([*_DECODE, packed.resolve()], limits=limits, stdout=output, waiting=report)
        report()


def promised_bytes(packed: Path) -> int:
    """Return how many bytes a file's index promises; decoding holds it to that.

    Raises:
        BadRawXz: xz refuses it.
        MissingProgram: xz is not installed.
    """
    with _as_bad_raw_xz(packed):
        listed = run_bounded(["xz", "--robot", "--list", "--", packed.resolve()], limits=Limits()).text
    totals = next(line for line in listed.splitlines() if line.startswith("totals\t"))
    return int(totals.split("\t")[4])


@contextmanager
def _as_bad_raw_xz(packed: Path) -> Generator[None, None, None]:
    try:
        yield
    except ProgramFailed as error:
        raise BadRawXz(
            f"{packed.name} does not decode: {error.message}",
            hint="encode or fetch the file again; these are not the bytes that were written",
        ) from error
