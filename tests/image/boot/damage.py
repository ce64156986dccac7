"""A look-alike's disk, spoiled through debugfs: by each damage that the boot gate must find."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.image.boot.verdict import Firmware
from hyops_assets.image.methods.native import ROOT_SECTOR
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE

BOOT = f"/boot/{LOOKALIKE_RELEASE}"
OTHER_RELEASE = "2020.01.01-0000-rolling"
_MENU = "/boot/grub/grub.cfg.d"
_ENTRY = f"{_MENU}/vyos-versions/{LOOKALIKE_RELEASE}.cfg"
_DEFAULTS = f"{_MENU}/20-vyos-defaults-autoload.cfg"


class SpoiledDisk:
    """A private copy of a raw disk, whose root file system is written to without mounting it."""

    def __init__(self, disk: Path, directory: Path) -> None:
        self.raw = directory / "spoiled.raw"
        run(["cp", "--sparse=always", "--reflink=auto", disk, self.raw])

    def debugfs(self, *lines: str) -> None:
        script = self.raw.with_suffix(".debugfs")
        script.write_text("".join(f"{line}\n" for line in lines))
        run(["debugfs", "-w", "-f", script, f"{self.raw}?offset={ROOT_SECTOR * 512}"])

    def read(self, path: str) -> str:
        return run(["debugfs", "-R", f"cat {path}", f"{self.raw}?offset={ROOT_SECTOR * 512}"]).text

    def write(self, path: str, text: str) -> None:
        new = self.raw.with_suffix(".new")
        new.write_text(text)
        self.debugfs(f"rm {path}", f"write {new} {path}")

    def replace(self, path: str, pattern: str, replacement: str) -> None:
        changed, times = re.subn(pattern, replacement, self.read(path))
        assert times, f"{path} has no {pattern}"
        self.write(path, changed)

    def as_qcow2(self) -> Path:
        """Return a qcow2 over it, as the gate takes one."""
        layer = self.raw.with_suffix(".qcow2")
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.raw, layer])
        return layer


def no_work_directory(disk: SpoiledDisk) -> None:
    disk.debugfs(f"rmdir {BOOT}/work/work")


def rw_elsewhere(disk: SpoiledDisk) -> None:
    disk.debugfs(f"ln {BOOT}/rw {BOOT}/upper", f"unlink {BOOT}/rw")


def other_label(disk: SpoiledDisk) -> None:
    disk.debugfs("set_super_value volume_name other")


def entry_of_another_release(disk: SpoiledDisk) -> None:
    disk.replace(_ENTRY, f"vyos-union={BOOT}", f"vyos-union=/boot/{OTHER_RELEASE}")


def default_names_no_entry(disk: SpoiledDisk) -> None:
    disk.replace(_DEFAULTS, 'default="uuid5-[^"]*"', 'default="uuid5-00000000-0000-5000-8000-000000000000"')


def no_initrd(disk: SpoiledDisk) -> None:
    """The kernel starts, and finds no root."""
    disk.replace(_ENTRY, r"(?m)^\s*initrd .*$", "")


def no_squashfs(disk: SpoiledDisk) -> None:
    disk.debugfs(f"rm {BOOT}/{LOOKALIKE_RELEASE}.squashfs")


def emergency(disk: SpoiledDisk) -> None:
    disk.replace(_ENTRY, f"vyos-union={BOOT}", f"vyos-union={BOOT} systemd.unit=emergency.target")


def no_menu(disk: SpoiledDisk) -> None:
    disk.debugfs("rm /boot/grub/grub.cfg")


def nothing(disk: SpoiledDisk) -> None:
    """Leave the disk as it was built."""


def empty(disk: SpoiledDisk) -> None:
    """Leave nothing that any firmware could start."""
    os.truncate(disk.raw, 0)
    os.truncate(disk.raw, 64 << 20)


@dataclass(frozen=True)
class Damage:
    """What is done to a disk, and the firmware that then starts it."""

    firmware: Firmware
    harm: Callable[[SpoiledDisk], None]


DAMAGES = {
    "sound": Damage("bios", nothing),
    "no-work-directory": Damage("bios", no_work_directory),
    "rw-elsewhere": Damage("bios", rw_elsewhere),
    "other-label-bios": Damage("bios", other_label),
    "other-label-uefi": Damage("uefi", other_label),
    "entry-of-another-release": Damage("bios", entry_of_another_release),
    "default-names-no-entry": Damage("bios", default_names_no_entry),
    "no-initrd": Damage("bios", no_initrd),
    "no-squashfs": Damage("bios", no_squashfs),
    "emergency": Damage("bios", emergency),
    "no-menu": Damage("bios", no_menu),
    "empty-bios": Damage("bios", empty),
    "empty-uefi": Damage("uefi", empty),
}
"""By the name of the recorded console."""
