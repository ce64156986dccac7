"""The native builder: from an opened ISO and an overlay to the canonical disk, as any user, without mounts.

The disk is what VyOS' own installer leaves behind (partition 3 labelled `persistence`, `/boot/<release>` with the
squashfs, kernel and overlay directories, GRUB for BIOS and UEFI), and a pure function of ISO, overlay, size and
console: identifiers derive from the release, times from the ISO. The squashfs is copied byte for byte; all
customisation stands in the overlay `rw/`.
"""

import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.credentials import CONFIG_DIRECTORY, disarm
from hyops_assets.image.disk.esp import write_esp
from hyops_assets.image.disk.ext4 import BLOCK_BYTES, Slot, write_ext4
from hyops_assets.image.disk.gpt import (
    BACKUP_SECTORS,
    BIOS_BOOT,
    EFI_SYSTEM,
    LINUX_DATA,
    SECTOR_BYTES,
    Partition,
    PartitionTable,
    write_table,
)
from hyops_assets.image.disk.grub import (
    BIOS,
    SERIAL_SPEED,
    UEFI,
    CoreImages,
    Menu,
    environment_block,
    make_core_images,
    render_menu,
)
from hyops_assets.image.disk.loaders import efi_files
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import OpenedIso
from hyops_assets.image.intake.layout import default_configs
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.space import space_needed
from hyops_assets.image.squashfs import MissingMember, Squashfs

LABEL = "persistence"
"""The label by which VyOS' initrd finds its file system (live-boot, persistence)."""

CORE_SECTOR, ESP_SECTOR, ROOT_SECTOR = 2048, 4096, 528384
CORE_SECTORS = ESP_SECTOR - CORE_SECTOR
"""Partition 1 holds GRUB's core image, partition 2 (256 MiB) the EFI loader, partition 3 the rest of the disk."""

CONFIG_MODE = 0o2775
_IDENTITIES = uuid.uuid5(uuid.NAMESPACE_URL, "https://hyops/vyos-disk")
_SPARE_BYTES = 128 << 20
_SMALLEST_DISK = (ROOT_SECTOR * SECTOR_BYTES) + (64 << 20)


class BadDisk(HyopsError):
    """A disk cannot be built as asked from this ISO."""


def build_native(
    opened: OpenedIso,
    overlay: Tree,
    *,
    disk_bytes: int,
    console: str,
    destination: Path,
    scratch: Path,
    console_speed: int = SERIAL_SPEED,
    menu_timeout_seconds: int = 5,
    progress: Progress = silent,
) -> None:
    """Build the raw disk of a release. Its digest is not taken here: encoding the disk takes it in passing.

    Args:
        opened: the verified ISO.
        overlay: what stands in the overlay's upper directory, by the guest's paths.
        disk_bytes: the disk's size, a multiple of 512.
        console: the kernel's console: `ttyS<n>` or `tty<n>`.
        destination: the raw disk, sparse; it appears when it is complete, and replaces an earlier one.
        scratch: takes the files of the boot partition while they are needed; nothing is left there.
        console_speed: of the serial port, in baud.
        menu_timeout_seconds: until the default entry starts; 0 is at once.
        progress: called with every stage, and the bytes of the long ones; cancels by raising.

    Raises:
        BadDisk: the disk is too small.
        UnknownLayout: the ISO lacks something that a disk needs; `open_iso` has said so before.
        GrubFailed: the ISO's GRUB cannot make a bootable disk.
        NoSpace: no room at the destination or in scratch.
    """
    if disk_bytes % SECTOR_BYTES or disk_bytes < _SMALLEST_DISK:
        raise BadDisk(
            f"a disk of {disk_bytes} bytes cannot be built",
            hint=f"ask for a multiple of {SECTOR_BYTES}, {_SMALLEST_DISK >> 20} MiB or more",
        )
    menu = Menu(console, console_speed, menu_timeout_seconds)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="native.") as name:
        own = Path(name)
        with space_needed(own, _SPARE_BYTES):
            progress("extract", 0, None)
            tree, core = _contents(opened, overlay, menu, own)
            progress("loaders", 0, None)
            loaders = efi_files(opened.squashfs, core.efi, menu.early_configuration)
        payload = sum(node.source.stat().st_size for node in tree.nodes.values() if node.source)
        if payload > disk_bytes - _SMALLEST_DISK:
            raise BadDisk(
                f"{payload >> 20} MiB of files do not fit on a disk of {disk_bytes >> 20} MiB",
                hint="set a larger disk_bytes in config/pipeline.yml under build",
            )
        with space_needed(destination.parent, payload + _SPARE_BYTES), replacing(destination) as disk:
            os.truncate(disk, disk_bytes)
            _assemble(disk, opened, tree, core, loaders, own, progress)


def partition_table(release: str, disk_bytes: int) -> PartitionTable:
    """Return the table of a release's disk: BIOS boot, EFI, `persistence` to the disk's end.

    The last partition's length is a multiple of the file system's blocks.
    """
    blocks = BLOCK_BYTES // SECTOR_BYTES
    free = disk_bytes // SECTOR_BYTES - BACKUP_SECTORS - ROOT_SECTOR
    last = ROOT_SECTOR + free // blocks * blocks - 1
    return PartitionTable(
        identity(release, "disk"),
        (
            Partition(BIOS_BOOT, identity(release, "bios"), CORE_SECTOR, ESP_SECTOR - 1, "BIOS"),
            Partition(EFI_SYSTEM, identity(release, "efi"), ESP_SECTOR, ROOT_SECTOR - 1, "EFI"),
            Partition(LINUX_DATA, identity(release, "root"), ROOT_SECTOR, last, LABEL),
        ),
    )


def identity(release: str, what: str) -> uuid.UUID:
    """Return the UUID of a part of a release's disk: the same in every build."""
    return uuid.uuid5(_IDENTITIES, f"{release}/{what}")


def _contents(opened: OpenedIso, overlay: Tree, menu: Menu, scratch: Path) -> tuple[Tree, CoreImages]:
    """Return everything that stands in partition 3, and GRUB's core images."""
    squashfs, release, layout = opened.squashfs, opened.release, opened.layout
    extracted = scratch / "extracted"
    grub = {f"{layout.grub_modules}/{platform}" for platform in (BIOS, UEFI)}
    squashfs.extract({*layout.boot_files.values(), *grub, layout.menu_templates}, extracted)
    modules = extracted / layout.grub_modules.lstrip("/")
    templates = extracted / layout.menu_templates.lstrip("/")
    core = make_core_images(
        modules, menu.early_configuration, core_sector=CORE_SECTOR, most_sectors=CORE_SECTORS, scratch=scratch
    )

    tree = Tree()
    texts = Texts(scratch / "texts")
    tree.add_file("/persistence.conf", texts.hold(b"/ union\n"))
    for directory in ("/boot", "/boot/efi", "/boot/grub", "/boot/grub/grub.cfg.d"):
        tree.add_directory(directory)
    tree.add_directory("/boot/grub/grub.cfg.d/vyos-versions")
    rendered = render_menu(squashfs, templates, version_file=layout.menu_version, release=release, menu=menu)
    for path, text in rendered.items():
        tree.add_file(path, texts.hold(text.encode()))
    tree.add_file("/boot/grub/grubenv", texts.hold(environment_block()))
    for platform in (BIOS, UEFI):
        tree.add_directory(f"/boot/grub/{platform}")
        for module in sorted(path for path in (modules / platform).iterdir() if path.is_file()):
            tree.add_file(f"/boot/grub/{platform}/{module.name}", module)

    image = f"/boot/{release}"
    for directory in (image, f"{image}/work", f"{image}/work/work"):
        tree.add_directory(directory)
    tree.add_file(f"{image}/{release}.squashfs", squashfs.path)
    for name, member in layout.boot_files.items():
        tree.add_file(f"{image}/{name}", extracted / member.lstrip("/"))
    tree.merge(upper_directory(squashfs, overlay, scratch / "texts").below(f"{image}/rw"))
    return tree, core


class Texts:
    """Computed files: their bytes wait in a directory until the tree that names them is written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def hold(self, content: bytes) -> Path:
        """Keep bytes and return the file that holds them."""
        descriptor, name = tempfile.mkstemp(dir=self._directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return Path(name)


def upper_directory(squashfs: Squashfs, overlay: Tree, kept: Path) -> Tree:
    """Return the overlay with what every installed VyOS has, and without the login that every ISO has.

    It is the upper directory of a disk of any build method; `kept` holds its computed files until it is written.
    """
    layers = Layers(squashfs)
    layers.tree.merge(overlay)
    texts = Texts(kept)
    layers.add_directory(CONFIG_DIRECTORY)
    group = _group_id(squashfs, "vyattacfg")
    layers.tree.add_directory(CONFIG_DIRECTORY, CONFIG_MODE, gid=group)
    # Tells VyOS that this directory is its configuration's home, not an empty mount point.
    layers.add_file(f"{CONFIG_DIRECTORY}/.vyatta_config", texts.hold(b""), 0o664, gid=group)
    for path in default_configs(squashfs):
        if path not in overlay.nodes:
            config = squashfs.read(path).decode(errors="surrogateescape")
            layers.replace_file(path, texts.hold(disarm(config).encode(errors="surrogateescape")))
    return layers.tree


def _group_id(squashfs: Squashfs, group: str) -> int:
    for line in squashfs.read("/etc/group").decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] == group and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    raise MissingMember(squashfs.path, "/etc/group", f"it has no group {group}")


def _assemble(
    disk: Path,
    opened: OpenedIso,
    tree: Tree,
    core: CoreImages,
    loaders: Mapping[str, bytes],
    scratch: Path,
    progress: Progress,
) -> None:
    """Write file systems, partition table and boot code into an empty disk itself: nothing is copied twice."""
    table = partition_table(opened.release, disk.stat().st_size)
    bios, efi, root = table.partitions
    progress("root file system", 0, None)
    write_ext4(
        Slot(disk, root.offset, root.size_bytes),
        tree,
        label=LABEL,
        identity=root.unique,
        epoch=opened.epoch,
        scratch=scratch,
        progress=progress,
    )
    progress("EFI file system", 0, None)
    write_esp(
        Slot(disk, efi.offset, efi.size_bytes),
        loaders,
        volume_id=efi.unique.int & 0xFFFFFFFF,
        epoch=opened.epoch,
        scratch=scratch,
    )
    progress("boot code", 0, None)
    with disk.open("r+b") as file:
        file.write(core.mbr)
        file.seek(bios.offset)
        file.write(core.bios_core)
    write_table(disk, table)
