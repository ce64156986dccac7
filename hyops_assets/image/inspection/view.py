"""A disk under inspection: its parts, each read once and only when a question needs it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import PartitionTable, read_table
from hyops_assets.image.inspection.files import EffectiveFiles, Ext4Files
from hyops_assets.image.squashfs import Squashfs

_PARTITIONS = 3


class Fault(HyopsError):
    """A disk is not what its record promises."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="do not publish it; build it again")


@dataclass(frozen=True)
class Expected:
    """What a record promises about its disk. `console` is `ttyS0` or `tty0`; None accepts either."""

    release: str
    squashfs_sha256: str
    helper_sha256: str
    console: str | None = None


class View:
    """One disk, and what is expected of it."""

    def __init__(self, disk: Path, expected: Expected, scratch: Path) -> None:
        self.disk = disk
        self.expected = expected
        self._scratch = scratch

    @property
    def image(self) -> str:
        """The image's directory on partition 3."""
        return f"/boot/{self.expected.release}"

    @cached_property
    def table(self) -> PartitionTable:
        """The partition table, verified."""
        table = read_table(self.disk)
        if len(table.partitions) != _PARTITIONS:
            raise Fault(f"{len(table.partitions)} partitions, expected {_PARTITIONS}")
        return table

    def slot(self, number: int) -> Slot:
        """Return where partition 1, 2 or 3 lies."""
        part = self.table.partitions[number - 1]
        return Slot(self.disk, part.offset, part.size_bytes)

    @cached_property
    def files(self) -> Ext4Files:
        """The files of partition 3."""
        return Ext4Files(self.slot(3))

    @cached_property
    def squashfs(self) -> Squashfs:
        """A copy of the image's squashfs."""
        copy = self._scratch / "filesystem.squashfs"
        self.files.dump(f"{self.image}/{self.expected.release}.squashfs", copy)
        return Squashfs(copy)

    @cached_property
    def squashfs_sha256(self) -> str:
        """The digest of the image's squashfs."""
        return sha256_of_file(self.squashfs.path)

    @cached_property
    def guest(self) -> EffectiveFiles:
        """The files as the guest sees them."""
        return EffectiveFiles(self.files, f"{self.image}/rw", self.squashfs)
