"""A disk under inspection: its parts, each read once and only when a question needs it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import Disk
from hyops_assets.image.budget import Budget, asked_once
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import SECTOR_BYTES, PartitionTable, read_table
from hyops_assets.image.inspection.cloud_config import CloudConfig, read_cloud_config
from hyops_assets.image.inspection.effective import EffectiveFiles
from hyops_assets.image.inspection.esp_files import EspFiles
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.squashfs import Squashfs

PARTITIONS = 3


class Fault(HyopsError):
    """A disk is not what its record promises."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="do not publish it; build it again")


class NotCompared(HyopsError):
    """A question asks for a comparison, without anything to compare with: its answer is neither good nor bad."""

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing to compare {what} with", hint="give the record or the ISO")


@dataclass(frozen=True)
class Expected:
    """What a record promises about its disk. What is None was not promised, and is then not compared.

    Attributes:
        release: the VyOS release that the disk holds.
        squashfs_sha256: of the ISO's squashfs.
        helper_sha256: of the canonical cloud-init module.
        console: the boot menu's console, such as `ttyS0`; None accepts each that VyOS' menu knows.
        console_speed: its speed in baud; None accepts each that a serial line of VyOS has.
        disk: size and digest of the raw disk.
        container_sha256: of the file in which the disk arrived.
    """

    release: str
    squashfs_sha256: str | None = None
    helper_sha256: str | None = None
    console: str | None = None
    console_speed: int | None = None
    disk: Disk | None = None
    container_sha256: str | None = None


class View:
    """One disk, and what is expected of it.

    Args:
        disk: the raw disk, under a name without `?` and `@`, at which programs part a file from an offset.
        expected: what its record promises.
        scratch: takes a copy of the squashfs; its owner removes it.
        container: the qcow2 or raw.xz that the disk was decoded from, if any.
        disk_sha256: returns the raw disk's digest; asked at most once.
        budget: what all questions together may take.
    """

    def __init__(
        self,
        disk: Path,
        expected: Expected,
        scratch: Path,
        *,
        container: Path | None = None,
        disk_sha256: Callable[[], str] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.disk = disk
        self.expected = expected
        self.container = container
        self.disk_sha256 = disk_sha256 or (lambda: sha256_of_file(disk))
        self.budget = budget or Budget()
        self._scratch = scratch

    @property
    def image(self) -> str:
        """The image's directory on partition 3."""
        return f"/boot/{self.expected.release}"

    @asked_once
    def table(self) -> PartitionTable:
        """The partition table, verified."""
        table = read_table(self.disk)
        if len(table.partitions) != PARTITIONS:
            raise Fault(f"{len(table.partitions)} partitions, expected {PARTITIONS}")
        return table

    def slot(self, number: int) -> Slot:
        """Return where partition 1, 2 or 3 lies."""
        part = self.table.partitions[number - 1]
        return Slot(self.disk, part.offset, part.size_bytes)

    def sector(self, number: int, index: int) -> bytes:
        """Return one sector of partition 1, 2 or 3, counted from its beginning; zeros where the partition ends.

        A sector at a time: how large a partition is said to be never becomes an allocation.
        """
        slot = self.slot(number)
        at = index * SECTOR_BYTES
        with self.disk.open("rb") as file:
            file.seek(slot.offset + at)
            found = file.read(SECTOR_BYTES) if 0 <= at < slot.size_bytes else b""
        return found.ljust(SECTOR_BYTES, b"\0")

    @asked_once
    def esp(self) -> EspFiles:
        """The files of partition 2."""
        return EspFiles(self.slot(2), self.budget)

    @asked_once
    def files(self) -> Ext4Files:
        """The files of partition 3."""
        return Ext4Files(self.slot(3), self.budget)

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """Give a question a directory of its own, for as long as the block lasts."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix=f"{name}.") as own:
            yield Path(own)

    @asked_once
    def squashfs(self) -> Squashfs:
        """A copy of the image's squashfs."""
        copy = self._scratch / "filesystem.squashfs"
        self.files.dump(f"{self.image}/{self.expected.release}.squashfs", copy)
        return Squashfs(copy, self.budget)

    @asked_once
    def squashfs_sha256(self) -> str:
        """The digest of the image's squashfs."""
        return sha256_of_file(self.squashfs.path)

    @asked_once
    def guest(self) -> EffectiveFiles:
        """The files as the guest sees them."""
        return EffectiveFiles(self.files, f"{self.image}/rw", self.squashfs)

    @asked_once
    def cloud_config(self) -> CloudConfig:
        """What the disk says to the guest's cloud-init."""
        return read_cloud_config(self.guest)
