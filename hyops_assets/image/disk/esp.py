"""Write the EFI system partition into a disk image: FAT32, no mount, the same bytes every time."""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import SECTOR_BYTES
from hyops_assets.image.programs import run

LABEL = "EFI"
REMOVABLE_LOADER = "EFI/BOOT/BOOTX64.EFI"
"""What UEFI starts from a disk that no boot entry names (UEFI specification 2.10, 3.5.1.1)."""

MTOOLS = {
    "MTOOLSRC": "/dev/null",
    "MTOOLS_SKIP_CHECK": "1",
    "MTOOLS_FAT_COMPATIBILITY": "0",
    "MTOOLS_LOWER_CASE": "0",
    "MTOOLS_NO_VFAT": "0",
    "MTOOLS_DOTTED_DIR": "0",
    "MTOOLS_NAME_NUMERIC_TAIL": "1",
}
"""Environment of mtools: it overrules /etc/mtools.conf, and a user's ~/.mtoolsrc is not read."""


def write_esp(slot: Slot, files: Mapping[str, bytes], *, volume_id: int, epoch: int, scratch: Path) -> None:
    """Fill a slot with a FAT32 file system.

    Args:
        slot: where; its bytes are zero.
        files: contents by path without a leading slash; directories are made as needed.
        volume_id: 32 bits.
        epoch: seconds since 1970 (1980 or later); dates every entry.
        scratch: takes a temporary directory, which is removed.

    Raises:
        ProgramFailed: mkfs.fat or mtools ended otherwise, out of space for example.
    """
    # mtools takes the time from the clock unless it is given.
    env = {"SOURCE_DATE_EPOCH": str(epoch), **MTOOLS}
    sector = slot.offset // SECTOR_BYTES
    run(
        [
            *("mkfs.fat", "-F", "32", "-S", str(SECTOR_BYTES), "-s", "1", "-f", "2", "-R", "32", "-b", "6", "-a"),
            *("-M", "0xf8", "-D", "0x80", "-g", "255/63", "-n", LABEL, "-i", f"{volume_id:08x}", "--invariant"),
            *("-h", str(sector), "--offset", str(sector), slot.disk, str(slot.size_bytes // 1024)),
        ],
        env=env,
    )
    staging = scratch / "esp"
    staging.mkdir()
    try:
        directories = {parent for name in files for parent in PurePosixPath(name).parents[:-1]}
        run(["mmd", "-i", mtools_image(slot), *(f"::/{path}" for path in sorted(directories))], env=env)
        for name, content in sorted(files.items()):
            source = staging / "file"
            source.write_bytes(content)
            run(["mcopy", "-o", "-i", mtools_image(slot), source, f"::/{name}"], env=env)
    finally:
        shutil.rmtree(staging)


def mtools_image(slot: Slot) -> str:
    """Return the name by which mtools open a slot."""
    return f"{slot.disk}@@{slot.offset}"
