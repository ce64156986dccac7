"""A disk under inspection: its parts, each read once and only when a question needs it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.record import Disk
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import PartitionTable, read_table
from hyops_assets.image.inspection.cloud_config import CloudConfig, read_cloud_config
from hyops_assets.image.inspection.effective import EffectiveFiles
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.squashfs import Squashfs

PARTITIONS = 3


class Fault(HyopsError):
    """A disk is not what its record promises."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="do not publish it; build it again")


class NotCompared(HyopsError):
    """A question asks for a comparison, and nobody said with what: its answer is neither good nor bad."""

    def __init__(self, what: str) -> None:
        super().__init__(f"nothing to compare {what} with", hint="give the record or the ISO")


@dataclass(frozen=True)
class Expected:
    """What a record promises about its disk. What is None was promised by nobody, and is then not compared.

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
    """

    def __init__(
        self,
        disk: Path,
        expected: Expected,
        scratch: Path,
        *,
        container: Path | None = None,
        disk_sha256: Callable[[], str] | None = None,
    ) -> None:
        self.disk = disk
        self.expected = expected
        self.container = container
        self.disk_sha256 = disk_sha256 or (lambda: sha256_of_file(disk))
        self._scratch = scratch

    @property
    def image(self) -> str:
        """The image's directory on partition 3."""
        return f"/boot/{self.expected.release}"

    @cached_property
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

    def head(self, number: int, size: int) -> bytes:
        """Return the first bytes of a partition."""
        slot = self.slot(number)
        with self.disk.open("rb") as file:
            file.seek(slot.offset)
            return file.read(min(size, slot.size_bytes))

    @cached_property
    def files(self) -> Ext4Files:
        """The files of partition 3."""
        return Ext4Files(self.slot(3))

    @contextmanager
    def room(self, name: str) -> Iterator[Path]:
        """Give a question a directory of its own, for as long as the block lasts."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix=f"{name}.") as own:
            yield Path(own)

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

    @cached_property
    def cloud_config(self) -> CloudConfig:
        """What the guest's cloud-init is told by the disk."""
        return read_cloud_config(self.guest)
