"""Questions about the disk itself: its container, partitions, boot code and file systems."""

import struct
from collections.abc import Callable
from uuid import UUID

from hyops_assets.image.disk.esp import LABEL as EFI_LABEL
from hyops_assets.image.disk.esp import REMOVABLE_LOADER
from hyops_assets.image.disk.ext4 import check_ext4
from hyops_assets.image.disk.gpt import BIOS_BOOT, EFI_SYSTEM, LINUX_DATA, SECTOR_BYTES
from hyops_assets.image.disk.grub import BOOT_CODE_BYTES
from hyops_assets.image.disk.loaders import KEY_MANAGERS, SIGNED_SHIM, embedded_prefix
from hyops_assets.image.inspection.esp_files import is_efi_program, is_shim
from hyops_assets.image.inspection.superblock import read_superblock
from hyops_assets.image.inspection.view import Fault, View
from hyops_assets.image.methods.native import CORE_SECTOR, ESP_SECTOR, LABEL, ROOT_SECTOR
from hyops_assets.image.variants.disk_source import format_of
from hyops_assets.image.variants.qemu_img import require_sound

LEAST_FREE_BYTES = 64 << 20
"""What the first boot and the first configurations write before anybody looks, logs included, with room to spare."""

LEAST_FREE_INODES = 1024

_BOOT_TEXT, _BOOT_TEXT_AT = b"GRUB", 0x180
_CORE_AT, _NEXT_SECTOR_AT, _COUNT_AT = 0x5C, 500, 508
_MBR_MAGIC = b"\x55\xaa"
_MBR_TYPE_AT, _PROTECTIVE = 446 + 4, 0xEE
_FAT32, _FAT32_AT, _FAT_LABEL_AT, _FAT_LABEL_BYTES = b"FAT32   ", 0x52, 0x47, 11
_OF_SHIMS_FAMILY = ("MMX64.EFI", "FBX64.EFI")
"""Made from the same sources, and marked as shim is; they start nothing."""

_SMALLEST_ROOT_BYTES = 64 << 20


def container_is_sound(view: View) -> str:
    """The file that the disk arrived in is whole: `qemu-img check` has no complaint about a qcow2."""
    container = view.container
    if container is None:
        return "the raw disk itself"
    if format_of(container) != "qcow2":
        # xz verifies every block and the index while it decodes; a disk that is here came through.
        return "a raw.xz, decoded to its end"
    require_sound(container, view.disk.stat().st_size)
    return "a qcow2 without errors"


def partition_table(view: View) -> str:
    """The disk carries a sound GPT, twice; BIOS boot, EFI and Linux partitions lie where VyOS' installer puts them."""
    parts = view.table.partitions
    found = [(part.type, part.first) for part in parts]
    expected = [(BIOS_BOOT, CORE_SECTOR), (EFI_SYSTEM, ESP_SECTOR), (LINUX_DATA, ROOT_SECTOR)]
    if found != expected:
        raise Fault(f"partitions {_described(found)}, expected {_described(expected)}")
    sizes = [part.size_bytes for part in parts]
    if (parts[0].last, parts[1].last) != (ESP_SECTOR - 1, ROOT_SECTOR - 1) or sizes[2] < _SMALLEST_ROOT_BYTES:
        raise Fault(f"partitions of {sizes} bytes, expected 1, 256 and at least {_SMALLEST_ROOT_BYTES >> 20} MiB")
    mbr = _mbr(view)
    if mbr[_MBR_TYPE_AT] != _PROTECTIVE or mbr[-2:] != _MBR_MAGIC:
        raise Fault(f"the MBR's first partition is of type {mbr[_MBR_TYPE_AT]:#04x}, expected the protective 0xee")
    return f"3 partitions, disk {view.table.disk}"


def partitions_have_their_labels(view: View) -> str:
    """Partition 2 is a FAT32 labelled EFI, and partition 3 an ext4 with the label that VyOS' initrd looks for."""
    esp = view.sector(2, 0)
    efi = esp[_FAT_LABEL_AT : _FAT_LABEL_AT + _FAT_LABEL_BYTES].decode("ascii", "replace").rstrip()
    if esp[_FAT32_AT : _FAT32_AT + len(_FAT32)] != _FAT32 or esp[-2:] != _MBR_MAGIC or efi != EFI_LABEL:
        raise Fault(f"partition 2 has the label {efi!r}, expected FAT32 with {EFI_LABEL!r}")
    root = read_superblock(view.slot(3)).label
    if root != LABEL:
        raise Fault(f"partition 3 has the label {root!r}, expected {LABEL!r}")
    return f"{efi} and {root}"


def starts_under_bios(view: View) -> str:
    """The MBR holds GRUB's boot code, which names the core image in partition 1, which names all of its sectors."""
    bios = view.table.partitions[0]
    mbr = _mbr(view)
    if mbr[_BOOT_TEXT_AT : _BOOT_TEXT_AT + 4] != _BOOT_TEXT or mbr[-2:] != _MBR_MAGIC:
        raise Fault(f"the first {BOOT_CODE_BYTES} bytes are not GRUB's boot code")
    core = view.sector(1, 0)
    (core_at,) = struct.unpack_from("<Q", mbr, _CORE_AT)
    (next_at,) = struct.unpack_from("<Q", core, _NEXT_SECTOR_AT)
    (count,) = struct.unpack_from("<H", core, _COUNT_AT)
    if core_at != bios.first or next_at != bios.first + 1 or not 0 < count < bios.last - bios.first + 1:
        raise Fault(f"GRUB's core image is said to lie at {core_at}, {next_at} and {count} sectors on")
    # Two sectors are read, however many there are said to be.
    if not any(core[:_NEXT_SECTOR_AT]) or not any(view.sector(1, count)):
        raise Fault("GRUB's core image is empty, or shorter than its list of sectors")
    return f"GRUB's core image of {count + 1} sectors at {core_at}"


def starts_under_uefi(view: View) -> str:
    """The EFI partition holds an x86-64 EFI program under the name that firmware starts unasked."""
    loader = view.esp.read(REMOVABLE_LOADER)
    if not is_efi_program(loader):
        raise Fault(f"{REMOVABLE_LOADER} is no EFI program for x86-64")
    return f"{REMOVABLE_LOADER}, {len(loader)} bytes"


def secure_boot_is_complete(view: View) -> str:
    """Where a shim for Secure Boot stands, what it starts stands beside it: GRUB, its first file, the key manager."""
    esp = view.esp
    names = {name.upper(): name for name in esp.names()}
    own = view.squashfs.read(SIGNED_SHIM) if view.squashfs.exists(SIGNED_SHIM) else None
    programs = {path: esp.read(name) for path, name in names.items() if path.endswith(".EFI")}
    shims = [
        path
        for path, content in programs.items()
        if content == own or (is_shim(content) and path.rpartition("/")[2] not in _OF_SHIMS_FAMILY)
    ]
    if not shims:
        return "no shim: starts where Secure Boot is off"
    # Without a key manager a shim starts what is signed already; where VyOS has one, its owner may enrol a key.
    managed = any(view.squashfs.exists(path) for path in KEY_MANAGERS)
    missing: list[str] = []
    for shim in shims:
        directory = shim.rpartition("/")[0]
        for name in ("GRUBX64.EFI", "MMX64.EFI") if managed else ("GRUBX64.EFI",):
            if not is_efi_program(programs.get(f"{directory}/{name}", b"")):
                missing.append(f"{directory}/{name}")
        menu = _first_file(programs.get(f"{directory}/GRUBX64.EFI", b""))
        if menu is not None and menu not in names:
            missing.append(menu)
    if missing:
        raise Fault(f"{', '.join(shims)} without {', '.join(sorted(set(missing)))}")
    return f"{', '.join(shims)} with all that they start"


def file_system_is_sound(view: View) -> str:
    """Partition 3 is an ext4 file system, and `e2fsck -fn` has no complaint."""
    block, slot = read_superblock(view.slot(3)), view.slot(3)
    if block.blocks * block.block_bytes > slot.size_bytes:
        raise Fault(f"the file system claims {block.blocks} blocks, more than its partition has")
    check_ext4(slot, view.budget)
    return f"ext4 of {block.blocks} blocks of {block.block_bytes} bytes, clean"


def has_free_space(view: View) -> str:
    """The file system of partition 3 has room for a first boot, even where the disk is never enlarged."""
    block = read_superblock(view.slot(3))
    if block.free_bytes < LEAST_FREE_BYTES or block.free_inodes < LEAST_FREE_INODES:
        raise Fault(
            f"{block.free_bytes >> 20} MiB and {block.free_inodes} inodes are free, {LEAST_FREE_BYTES >> 20} MiB and"
            f" {LEAST_FREE_INODES} are needed"
        )
    return f"{block.free_bytes >> 20} MiB free"


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        container_is_sound,
        partition_table,
        partitions_have_their_labels,
        starts_under_bios,
        starts_under_uefi,
        secure_boot_is_complete,
        file_system_is_sound,
        has_free_space,
    )
}


def _first_file(grub: bytes) -> str | None:
    """Return where on the EFI partition a GRUB looks for its first file; None where it needs none there."""
    if not is_efi_program(grub):
        return None
    prefix = embedded_prefix(grub).strip("/").upper()
    return f"{prefix}/GRUB.CFG" if prefix.startswith("EFI/") else None


def _mbr(view: View) -> bytes:
    with view.disk.open("rb") as file:
        mbr = file.read(SECTOR_BYTES)
    if len(mbr) < SECTOR_BYTES:
        raise Fault(f"a disk of {len(mbr)} bytes")
    return mbr


def _described(partitions: list[tuple[UUID, int]]) -> str:
    return ", ".join(f"{kind} at {first}" for kind, first in partitions)
