"""Make an image of a plain installed disk, of any installer: its overlay becomes the one that `native` writes.

An installer leaves a disk with a login, perhaps with host keys, logs and the hardware address of the machine that
it ran on. None of it is edited away: partition 3 is written anew, with everything of `/boot` as the installer left
it, and with our upper directory in place of the installer's. Deleted files are gone with the old file system.
"""

import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.digests import CHUNK_BYTES
from hyops_assets.image.disk.ext4 import Slot, write_ext4
from hyops_assets.image.disk.gpt import Partition, read_table
from hyops_assets.image.disk.tree import Node, Tree
from hyops_assets.image.holes import extents
from hyops_assets.image.inspection.files import Entry, Ext4Files
from hyops_assets.image.intake.iso import OpenedIso
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.methods.native import LABEL, upper_directory
from hyops_assets.image.space import space_needed

_SUPERBLOCK_AT, _SUPERBLOCK = 1024, struct.Struct("<56xH46x16s16s")
_EXT_MAGIC = 0xEF53
_NO_IMAGES = ("efi", "grub")
_SPARE_BYTES = 128 << 20
_BANNER = "debugfs "


@dataclass(frozen=True)
class Installed:
    """The boot partition of an installed disk: where it lies, and the UUID by which GRUB may look for it."""

    partition: Partition
    identity: uuid.UUID


@dataclass(frozen=True)
class Finished:
    """A finished disk; `dropped` tells how many files of the installer's upper directory do not stand on it."""

    dropped: int


def find_installed(disk: Path) -> Installed:
    """Return the partition that VyOS boots from.

    Raises:
        BadPartitionTable: the disk has no sound GUID partition table.
        BuildFailed: not exactly one partition holds an ext4 file system labelled `persistence`.
    """
    found = []
    for partition in read_table(disk).partitions:
        with disk.open("rb") as file:
            file.seek(partition.offset + _SUPERBLOCK_AT)
            magic, identity, label = _SUPERBLOCK.unpack(file.read(_SUPERBLOCK.size))
        if magic == _EXT_MAGIC and label.rstrip(b"\0") == LABEL.encode():
            found.append(Installed(partition, uuid.UUID(bytes=identity)))
    if len(found) != 1:
        raise BuildFailed(
            f"{len(found)} partitions of the disk hold an ext4 file system labelled {LABEL}, expected 1",
            hint="read the builder's log: it installed VyOS otherwise than VyOS' own installer does, or not at all",
        )
    return found[0]


def finish(
    installed: Path,
    opened: OpenedIso,
    overlay: Tree,
    *,
    destination: Path,
    scratch: Path,
    progress: Progress = silent,
) -> Finished:
    """Write an installed disk anew, with our overlay in place of the installer's. As any user, without mounts.

    Partition table, boot code, EFI partition and `/boot` stay as they are: whether they are right is for the gates
    to say.

    Args:
        installed: the raw disk; it is only read.
        opened: the ISO that was installed.
        overlay: what stands in the overlay's upper directory, by the guest's paths.
        destination: the raw disk, sparse; it appears when it is complete.
        scratch: takes the files of the boot partition while they are needed; nothing of use is left there.
        progress: called with the stages.

    Raises:
        BadPartitionTable: the disk has no sound GUID partition table.
        BuildFailed: it holds no image of this release, more than one, or what no image holds.
        NoSpace: no room at the destination or in scratch.
    """
    found = find_installed(installed)
    root = found.partition
    source = Slot(installed, root.offset, root.size_bytes)
    files = Ext4Files(source)
    image = _image(files, opened.release)
    used = sum(entry.size for entry in files.tree.values() if entry.kind == "file")
    with space_needed(scratch, used + _SPARE_BYTES):
        progress("read installed disk", 0, None)
        tree, dropped = _kept(source, files, image, scratch / "installed")
    tree.merge(upper_directory(opened.squashfs, overlay, scratch / "installed.texts").below(f"{image}/rw"))
    with space_needed(destination.parent, used + _SPARE_BYTES), replacing(destination) as disk:
        progress("finish", 0, None)
        _copy_around(installed, disk, root)
        slot = Slot(disk, root.offset, root.size_bytes)
        write_ext4(
            slot,
            tree,
            label=LABEL,
            identity=found.identity,
            epoch=opened.epoch,
            scratch=scratch,
            progress=progress,
        )
    return Finished(dropped)


def _image(files: Ext4Files, release: str) -> str:
    images = [name for name in files.names("/boot") if name not in _NO_IMAGES]
    if images != [release]:
        raise BuildFailed(
            f"the installed disk holds the images {images}, expected only {release}",
            hint="install that release, under its own name: a record's disk names the release that it holds",
        )
    return f"/boot/{release}"


def _kept(slot: Slot, files: Ext4Files, image: str, directory: Path) -> tuple[Tree, int]:
    """Return what stays of the file system, its files' bytes in a directory, and how many files do not stay."""
    dropped = 0
    tree = Tree()
    dumped: list[Entry] = []
    for path, entry in files.tree.items():
        inside = PurePosixPath(path)
        if inside.is_relative_to(f"{image}/rw") or inside.is_relative_to(f"{image}/work"):
            dropped += entry.kind != "directory"
        elif entry.kind == "directory":
            if path not in ("/", "/lost+found"):
                tree.add(path, Node("directory", entry.mode, entry.uid, entry.gid))
        elif entry.kind == "symlink":
            tree.add(path, Node("symlink", 0o777, entry.uid, entry.gid, target=files.target(path)))
        elif entry.kind == "file":
            dumped.append(entry)
            source = directory / str(entry.inode)
            tree.add(path, Node("file", entry.mode, entry.uid, entry.gid, source=source))
        else:
            raise BuildFailed(f"{path} of the installed disk is no file", hint="no image of VyOS holds such a thing")
    for name in ("work", "work/work"):
        tree.add_directory(f"{image}/{name}")
    _dump(slot, {entry.inode for entry in dumped}, directory)
    return tree, dropped


def _dump(slot: Slot, inodes: set[int], directory: Path) -> None:
    """Copy files out of a file system in one go, each named by its inode: no name needs quoting."""
    directory.mkdir()
    script = directory / "script"
    script.write_text("".join(f"dump <{inode}> {inode}\n" for inode in sorted(inodes)))
    device = f"{slot.disk.absolute()}?offset={slot.offset}"
    limits = Limits(seconds=300, file_bytes=slot.size_bytes)
    finished = run_bounded(["debugfs", "-f", script.absolute(), device], limits=limits, cwd=directory)
    # debugfs exits 0 although a line failed.
    complaints = [line for line in finished.stderr.splitlines() if line.strip() and not line.startswith(_BANNER)]
    if complaints:
        raise BuildFailed(f"a file of the installed disk cannot be read: {complaints[0]}", hint="build it again")


def _copy_around(installed: Path, disk: Path, left_out: Partition) -> None:
    """Copy everything outside of one partition; holes stay holes."""
    size = installed.stat().st_size
    os.truncate(disk, size)
    end = left_out.offset + left_out.size_bytes
    with installed.open("rb") as source, disk.open("r+b") as target:
        for extent in extents(source.fileno(), size):
            if extent.hole:
                continue
            for start, stop in (
                (extent.start, min(extent.end, left_out.offset)),
                (max(extent.start, end), extent.end),
            ):
                for at in range(start, stop, CHUNK_BYTES):
                    data = os.pread(source.fileno(), min(CHUNK_BYTES, stop - at), at)
                    if data.strip(b"\0"):
                        os.pwrite(target.fileno(), data, at)
