"""What firmware starts under UEFI: our own GRUB core or, where the ISO has them, the signed shim and the signed GRUB.

A signed program looks for its menu where it was built to: Debian's GRUB carries a directory of the EFI partition
(`/EFI/debian`) and reads `grub.cfg` there. That directory is read out of the program itself, and gets a few lines
that go on to the menu on the file system `persistence`. Whether the kernel may start under Secure Boot is for its
own signature to say: shim asks for it, with the keys in the firmware, in shim, or enrolled by the machine's owner.
"""

import struct
from collections.abc import Iterator

from hyops_assets.image.disk.esp import REMOVABLE_LOADER
from hyops_assets.image.disk.grub import GrubFailed
from hyops_assets.image.squashfs import Squashfs

SIGNED_SHIM = "/usr/lib/shim/shimx64.efi.signed"
SIGNED_GRUB = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
KEY_MANAGERS = ("/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi")
"""shim starts the key manager when an owner enrols a key of his own, as VyOS' `install mok` asks for."""

REMOVABLE, VENDOR = "EFI/BOOT", "EFI/VyOS"
"""VyOS' installer fills both: what firmware starts unasked, and what a boot entry of its own would name."""

_PE_AT, _PE_HEADER, _SECTION = 0x3C, struct.Struct("<4sHH12xHH"), struct.Struct("<8sIIII16x")
_MODULES, _MODULES_MAGIC, _MODULES_HEADER = b"mods", 0x676D696D, struct.Struct("<I4xQQ")
_PART, _PREFIX = struct.Struct("<II"), 3


def efi_files(squashfs: Squashfs, core: bytes, configuration: str) -> dict[str, bytes]:
    """Return what stands in the EFI partition, path to content.

    Args:
        squashfs: the ISO's; brings the signed programs, or does not.
        core: our own GRUB core image, which starts where nothing signed is there.
        configuration: GRUB commands that set `prefix` to the directory of the menu.

    Raises:
        GrubFailed: the signed GRUB does not tell where it looks for its menu.
    """
    if not (squashfs.exists(SIGNED_SHIM) and squashfs.exists(SIGNED_GRUB)):
        return {REMOVABLE_LOADER: core, f"{VENDOR}/grubx64.efi": core}
    shim, grub = squashfs.read(SIGNED_SHIM), squashfs.read(SIGNED_GRUB)
    beside = {"grubx64.efi": grub, "grub.cfg": f"{configuration}configfile $prefix/grub.cfg\n".encode()}
    for path in KEY_MANAGERS:
        if squashfs.exists(path):
            beside["mmx64.efi"] = squashfs.read(path)
            break
    files = {REMOVABLE_LOADER: shim, f"{VENDOR}/shimx64.efi": shim}
    files |= {f"{directory}/{name}": content for directory in (REMOVABLE, VENDOR) for name, content in beside.items()}
    files[f"{embedded_prefix(grub).strip('/')}/grub.cfg"] = beside["grub.cfg"]
    return files


def embedded_prefix(grub: bytes) -> str:
    """Return the directory in which a GRUB made for UEFI looks for `grub.cfg`, such as `/EFI/debian`.

    It stands in the section `mods` of the program, among the modules (GRUB's include/grub/kernel.h).

    Raises:
        GrubFailed: it is no GRUB for UEFI, or looks on a device of its own choice.
    """
    for kind, content in _module_parts(grub):
        if kind == _PREFIX:
            prefix = content.split(b"\0", 1)[0].decode("ascii", "replace")
            if prefix.startswith("/") and prefix.isprintable() and ".." not in prefix:
                return prefix
            raise _unusable(f"it looks for its menu in {prefix!r}")
    raise _unusable("it names no directory of its menu")


def _module_parts(grub: bytes) -> Iterator[tuple[int, bytes]]:
    try:
        section = _section(grub, _MODULES)
        magic, first, size = _MODULES_HEADER.unpack_from(section)
    except struct.error as error:
        raise _unusable("it is no EFI program, or a cut one") from error
    if magic != _MODULES_MAGIC:
        raise _unusable("its modules cannot be found")
    at, end = first, min(size, len(section))
    while at + _PART.size <= end:
        kind, length = _PART.unpack_from(section, at)
        if not _PART.size <= length <= end - at:
            raise _unusable(f"the part at byte {at} of its modules has {length} bytes")
        yield kind, section[at + _PART.size : at + length]
        at += length


def _section(program: bytes, name: bytes) -> bytes:
    """Return a section of a PE file (Microsoft's PE format, section table); empty where it has none of that name."""
    (header,) = struct.unpack_from("<I", program, _PE_AT)
    magic, _machine, sections, optional_bytes, _flags = _PE_HEADER.unpack_from(program, header)
    if magic != b"PE\0\0":
        raise _unusable("it is no EFI program")
    for index in range(sections):
        at = header + _PE_HEADER.size + optional_bytes + index * _SECTION.size
        found, _virtual_bytes, _address, length, offset = _SECTION.unpack_from(program, at)
        if found.rstrip(b"\0") == name:
            return program[offset : offset + length]
    return b""


def _unusable(why: str) -> GrubFailed:
    return GrubFailed(f"{SIGNED_GRUB} cannot be used: {why}", hint="use another release, or report this one")
