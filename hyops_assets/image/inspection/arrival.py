"""A disk as it arrives for an inspection: raw, qcow2 or raw.xz by its content, decoded where it must be."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.inspection.questions import Expected, viewed
from hyops_assets.image.programs import MissingProgram
from hyops_assets.image.variants import qemu_img, stock_xz
from hyops_assets.image.variants.disk_source import DiskFormat, format_of
from hyops_assets.image.variants.encoded import NotADisk, require_disk_size

UNKNOWN_RELEASE = "unknown"
"""Stands for the release of a disk that holds no image, so that every question has its answer all the same."""


@dataclass(frozen=True)
class Arrived:
    """A disk that can be looked into.

    Attributes:
        file: as it came.
        format: of that file.
        disk: the raw disk; the file itself where it is raw.
    """

    file: Path
    format: DiskFormat
    disk: Path

    @property
    def container(self) -> Path | None:
        """The file around the disk; None where there is none."""
        return None if self.format == "raw" else self.file


@contextmanager
def opened_disk(file: Path, scratch: Path, *, progress: Progress = silent) -> Iterator[Arrived]:
    """Give the raw disk that a file holds, for as long as the block lasts. The file is only read.

    Args:
        file: from anywhere.
        scratch: takes the decoded disk, as sparse as it is; it is removed with the block.
        progress: called with the bytes that were decoded; cancels by raising.

    Raises:
        NotADisk: it is no regular file, empty, no whole number of sectors, or too large.
        NotPlainQcow2, BadQcow2, BadRawXz: a qcow2 or raw.xz that is not whole, or not one file.
        NoSpace: the disk does not fit into scratch.
    """
    if not file.is_file():
        raise NotADisk(f"{file} is no file", hint="give a disk's file: raw, qcow2 or raw.xz")
    format_ = format_of(file)
    if format_ == "raw":
        require_disk_size(file.stat().st_size, file.name)
        yield Arrived(file, format_, file)
        return
    raw = scratch / "arrived.raw"
    decode = qemu_img.decode if format_ == "qcow2" else stock_xz.decode
    try:
        decode(file, raw, progress=progress)
        yield Arrived(file, format_, raw)
    finally:
        raw.unlink(missing_ok=True)


def release_on(disk: Path, scratch: Path) -> str:
    """Return the release that a raw disk holds: the name of the directory in /boot with the squashfs of that name.

    Of several the last one by name is reported, and the questions say that there are others; of a disk without any, or
    one that cannot be read, `UNKNOWN_RELEASE`.
    """
    with viewed(disk, Expected(UNKNOWN_RELEASE), scratch) as view:
        try:
            tree = view.files.tree
            found = [name for name in view.files.names("/boot") if f"/boot/{name}/{name}.squashfs" in tree]
        except MissingProgram:
            raise
        except HyopsError:
            # What is wrong with it, the questions tell.
            return UNKNOWN_RELEASE
    return found[-1] if found else UNKNOWN_RELEASE
