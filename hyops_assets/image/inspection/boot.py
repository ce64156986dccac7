"""Questions about starting: partitions, boot code, menu, kernel, overlay directories."""

import re
import struct
from collections.abc import Callable
from pathlib import PurePosixPath
from uuid import UUID

from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.disk.esp import REMOVABLE_LOADER, mtools_image
from hyops_assets.image.disk.ext4 import check_ext4
from hyops_assets.image.disk.gpt import BIOS_BOOT, EFI_SYSTEM, LINUX_DATA, SECTOR_BYTES
from hyops_assets.image.disk.grub import BOOT_CODE_BYTES, CONFIG_DIRECTORY, console_variables
from hyops_assets.image.inspection.view import Fault, View
from hyops_assets.image.methods.native import CORE_SECTOR, ESP_SECTOR, LABEL, ROOT_SECTOR
from hyops_assets.image.programs import run

_BOOT_TEXT, _BOOT_TEXT_AT = b"GRUB", 0x180
_CORE_AT, _NEXT_SECTOR_AT, _COUNT_AT = 0x5C, 500, 508
_MBR_MAGIC = b"\x55\xaa"
_PE_AT, _PE_MAGIC, _AMD64 = 0x3C, b"PE\0\0", 0x8664
_SUPERBLOCK_AT, _EXT_MAGIC_AT, _EXT_MAGIC, _EXT_LABEL_AT = 1024, 0x38, 0xEF53, 0x78
_DEFAULT = re.compile(r'^\s*set default="?([^"\s]+)"?', re.MULTILINE)
_VARIABLE = re.compile(r'^\s*set (\w+)="?([^"\n]*)"?', re.MULTILINE)
_ENTRY = re.compile(r'^menuentry\s+"([^"]+)"\s+--id\s+(\S+)\s*\{(.*?)^\}', re.MULTILINE | re.DOTALL)
_LOADED = re.compile(r'^\s*(linux|initrd)\s+"?([^"\s]+)"?', re.MULTILINE)
_UNION = re.compile(r'vyos-union=([^"\s]+)')
_USRMERGE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


def partition_table(view: View) -> str:
    """The disk carries a sound GPT with BIOS boot, EFI and Linux partitions where VyOS' installer puts them."""
    found = [(part.type, part.first) for part in view.table.partitions]
    expected = [(BIOS_BOOT, CORE_SECTOR), (EFI_SYSTEM, ESP_SECTOR), (LINUX_DATA, ROOT_SECTOR)]
    if found != expected:
        raise Fault(f"partitions {_described(found)}, expected {_described(expected)}")
    return f"3 partitions, disk {view.table.disk}"


def starts_under_bios(view: View) -> str:
    """The MBR holds GRUB's boot code, which names the core image in partition 1, which names all of its sectors."""
    bios = view.table.partitions[0]
    with view.disk.open("rb") as file:
        mbr = file.read(SECTOR_BYTES)
        file.seek(bios.offset)
        first = file.read(SECTOR_BYTES)
        if mbr[_BOOT_TEXT_AT : _BOOT_TEXT_AT + 4] != _BOOT_TEXT or mbr[-2:] != _MBR_MAGIC:
            raise Fault(f"the first {BOOT_CODE_BYTES} bytes are not GRUB's boot code")
        (core_at,) = struct.unpack_from("<Q", mbr, _CORE_AT)
        (next_at,) = struct.unpack_from("<Q", first, _NEXT_SECTOR_AT)
        (count,) = struct.unpack_from("<H", first, _COUNT_AT)
        if core_at != bios.first or next_at != bios.first + 1 or not 0 < count < bios.last - bios.first + 1:
            raise Fault(f"GRUB's core image is said to lie at {core_at}, {next_at} and {count} sectors on")
        rest = file.read(count * SECTOR_BYTES)
    if not any(first[:_NEXT_SECTOR_AT]) or not any(rest[-SECTOR_BYTES:]):
        raise Fault("GRUB's core image is empty, or shorter than its list of sectors")
    return f"GRUB's core image of {count + 1} sectors at {core_at}"


def starts_under_uefi(view: View) -> str:
    """The EFI partition holds an x86-64 EFI program under the name that firmware starts unasked."""
    loader = run(
        ["mcopy", "-i", mtools_image(view.slot(2)), f"::/{REMOVABLE_LOADER}", "-"],
        env={"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"},
    ).stdout
    at = int.from_bytes(loader[_PE_AT : _PE_AT + 4], "little")
    header = loader[at : at + 6]
    if loader[:2] != b"MZ" or header[:4] != _PE_MAGIC or int.from_bytes(header[4:], "little") != _AMD64:
        raise Fault(f"{REMOVABLE_LOADER} is no EFI program for x86-64")
    return f"{REMOVABLE_LOADER}, {len(loader)} bytes"


def file_system_is_sound(view: View) -> str:
    """Partition 3 is an ext4 file system with the label that VyOS' initrd looks for, and e2fsck has no complaint."""
    slot = view.slot(3)
    with view.disk.open("rb") as file:
        file.seek(slot.offset + _SUPERBLOCK_AT)
        block = file.read(SECTOR_BYTES)
    (magic,) = struct.unpack_from("<H", block, _EXT_MAGIC_AT)
    label = block[_EXT_LABEL_AT : _EXT_LABEL_AT + 16].rstrip(b"\0").decode(errors="replace")
    if magic != _EXT_MAGIC or label != LABEL:
        raise Fault(f"partition 3 has the label {label!r}, expected ext4 with {LABEL!r}")
    check_ext4(slot)
    return f"ext4, label {label}, clean"


def holds_one_image(view: View) -> str:
    """The disk holds exactly one VyOS image, the release's, and the menu offers no other."""
    images = [name for name in view.files.names("/boot") if name not in ("efi", "grub")]
    entries = view.files.names(f"{CONFIG_DIRECTORY}/vyos-versions")
    release = view.expected.release
    if images != [release] or entries != [f"{release}.cfg"]:
        raise Fault(f"images {images} and menu entries {entries}, expected only {release}")
    return release


def squashfs_is_the_isos(view: View) -> str:
    """The squashfs on the disk is the ISO's, byte for byte."""
    if view.squashfs_sha256 != view.expected.squashfs_sha256:
        raise Fault(f"sha256 {view.squashfs_sha256}, expected {view.expected.squashfs_sha256}")
    return f"sha256 {view.squashfs_sha256}"


def kernel_is_the_isos(view: View) -> str:
    """Kernel and initrd on the disk are not empty, and those of the ISO's squashfs."""
    for name in ("vmlinuz", "initrd.img"):
        found = view.files.read(f"{view.image}/{name}")
        if not found or sha256_of_bytes(found) != sha256_of_bytes(view.squashfs.read(f"/boot/{name}")):
            raise Fault(f"{name} of {len(found)} bytes is not the ISO's")
    return "vmlinuz and initrd.img as in the squashfs"


def default_entry_starts_the_image(view: View) -> str:
    """The menu's default names an entry that loads the image's own kernel and initrd over its own overlay."""
    default = _last(_DEFAULT.findall(_menu_settings(view)), "no menu file sets a default")
    entries = {found[2]: found for found in _ENTRY.finditer(_menu_entries(view))}
    if default not in entries:
        raise Fault(f"the default {default} is none of the entries {sorted(entries)}")
    title, body = entries[default][1], entries[default][3]
    loaded = dict(_LOADED.findall(body))
    expected = {"linux": f"{view.image}/vmlinuz", "initrd": f"{view.image}/initrd.img"}
    over = sorted(set(_UNION.findall(body)))
    if loaded != expected or over != [view.image]:
        raise Fault(f"entry {title} loads {loaded} over {over}, expected {expected} over {view.image}")
    for path in expected.values():
        view.files.require(path, "file")
    return f"{default} starts {title}"


def console_is_set(view: View) -> str:
    """The menu passes the console that was asked for on to the kernel."""
    settings = dict(_VARIABLE.findall(_menu_settings(view)))
    found = f"{settings.get('console_type', '')}{settings.get('console_num', '')}"
    wanted = [view.expected.console] if view.expected.console else ["ttyS0", "tty0"]
    if found not in wanted or settings.get("console_speed") != console_variables(found)["console_speed"]:
        raise Fault(f"console {found!r} at {settings.get('console_speed')}, expected {' or '.join(wanted)}")
    return found


def overlay_is_laid_out(view: View) -> str:
    """`rw` and `work/work` stand beside the squashfs, and persistence.conf asks for a union of the whole root."""
    for directory in ("rw", "work", "work/work"):
        view.files.require(f"{view.image}/{directory}", "directory")
    if view.files.read("/persistence.conf").split() != [b"/", b"union"]:
        raise Fault("persistence.conf does not say `/ union`")
    config = view.files.require(f"{view.image}/rw/opt/vyatta/etc/config", "directory")
    view.files.require(f"{view.image}/rw/opt/vyatta/etc/config/.vyatta_config", "file")
    if config.mode != 0o2775:
        raise Fault(f"VyOS' configuration directory has mode {config.mode:04o}, expected 2775")
    return f"{view.image}/rw over {view.expected.release}.squashfs"


def merged_directories_stay_links(view: View) -> str:
    """No directory of the overlay hides a symlink of the squashfs, such as /lib: such a disk does not boot."""
    members = view.squashfs.members()
    hidden = [
        path
        for path, entry in view.guest.upper.items()
        if entry.kind != "symlink" and (path in members and members[path].kind == "symlink")
        if entry.kind == "directory" or path in _USRMERGE
    ]
    if hidden:
        raise Fault(f"the overlay hides the symlinks {', '.join(sorted(hidden))}")
    return "none hidden"


CHECKS: dict[str, Callable[[View], str]] = {
    check.__name__: check
    for check in (
        partition_table,
        starts_under_bios,
        starts_under_uefi,
        file_system_is_sound,
        holds_one_image,
        squashfs_is_the_isos,
        kernel_is_the_isos,
        default_entry_starts_the_image,
        console_is_set,
        overlay_is_laid_out,
        merged_directories_stay_links,
    )
}


def _described(partitions: list[tuple[UUID, int]]) -> str:
    return ", ".join(f"{kind} at {first}" for kind, first in partitions)


def _last(found: list[str], otherwise: str) -> str:
    if not found:
        raise Fault(otherwise)
    return found[-1]


def _menu_settings(view: View) -> str:
    """Return the menu's settings in the order in which GRUB reads them."""
    names = [name for name in view.files.names(CONFIG_DIRECTORY) if name.endswith("-autoload.cfg")]
    return _text(view, [f"{CONFIG_DIRECTORY}/{name}" for name in names])


def _menu_entries(view: View) -> str:
    directory = PurePosixPath(CONFIG_DIRECTORY) / "vyos-versions"
    return _text(view, [str(directory / name) for name in view.files.names(str(directory))])


def _text(view: View, paths: list[str]) -> str:
    return "\n".join(view.files.read(path).decode(errors="replace") for path in paths)
