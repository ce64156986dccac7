"""Make a disk start: GRUB for BIOS and UEFI from the ISO's own modules, and the boot menu from its own templates.

Nothing of GRUB is vendored and no `grub-install` runs: the core images are made by `grub-mkimage` from the modules
in the ISO's squashfs, the boot sectors are patched as GRUB's manual and sources (grub-core/boot/i386/pc) lay down.
The menu is the one that VyOS' own installer would write: file names and variables are those of vyos-1x.
"""

import re
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChainableUndefined, FileSystemLoader, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.gpt import SECTOR_BYTES
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs

BIOS, UEFI = "i386-pc", "x86_64-efi"
BOOT_CODE_BYTES = 440
"""How much of the MBR is boot code; Linux' disk signature and the partition table follow."""

CONFIG_DIRECTORY = "/boot/grub/grub.cfg.d"
SERIAL_SPEED = 115200
"""VyOS' own default (its flavor.json), in baud."""

_COMMON_MODULES = [
    *("part_gpt", "ext2", "search", "search_label", "normal", "linux", "configfile", "regexp"),
    *("serial", "terminal", "echo", "test", "loadenv"),
]
_MODULES = {BIOS: ["biosdisk", *_COMMON_MODULES], UEFI: [*_COMMON_MODULES, "fat", "efi_gop", "efi_uga"]}
# The serial console comes first: where no `persistence` file system is found, GRUB's prompt must be seen on a
# machine that has no screen. A machine without a serial port prints one line and goes on. The screen stays, too:
# whatever the kernel's console, the menu is shown on both.
_EARLY_CONFIG = """\
serial --unit={unit} --speed={speed}
terminal_input --append serial
terminal_output --append serial
search.fs_label persistence root
set prefix=($root)/boot/grub
"""
_KERNEL_SECTOR_AT, _BOOT_DRIVE_AT, _DRIVE_CHECK_AT = 0x5C, 0x64, 0x66
_NEXT_SECTOR_AT, _SECTOR_COUNT_AT = 500, 508
_LAYOUT_VERSION = re.compile(r"^SYSTEM_CFG_VER\s*=\s*(\d+)", re.MULTILINE)
_CONSOLE = re.compile(r"(ttyS|tty)(\d+)")
_ENVIRONMENT_BLOCK_BYTES = 1024


class GrubFailed(HyopsError):
    """The ISO's GRUB modules or templates cannot make a bootable disk."""


@dataclass(frozen=True)
class Menu:
    """How a disk greets: the kernel's console, its speed in baud, and the seconds until the default entry starts.

    Raises:
        GrubFailed: the console is neither ttyS<n> nor tty<n>.
    """

    console: str = "ttyS0"
    speed: int = SERIAL_SPEED
    timeout_seconds: int = 5

    def __post_init__(self) -> None:
        console_variables(self.console, self.speed)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of VyOS' menu that say so."""
        return {"timeout": str(self.timeout_seconds), **console_variables(self.console, self.speed)}

    @property
    def early_configuration(self) -> str:
        """GRUB commands that open the serial port and set `prefix`: what runs before any menu is read.

        The port is the console's own, or the first where the console is a screen.
        """
        variables = self.variables
        unit = variables["console_num"] if variables["console_type"] == "ttyS" else "0"
        return _EARLY_CONFIG.format(unit=unit, speed=self.speed)


@dataclass(frozen=True)
class CoreImages:
    """What the firmware starts: `mbr` is 440 bytes of boot code, `bios_core` whole sectors, `efi` a PE file."""

    mbr: bytes
    bios_core: bytes
    efi: bytes


def make_core_images(
    modules: Path, configuration: str, *, core_sector: int, most_sectors: int, scratch: Path
) -> CoreImages:
    """Make the core images for BIOS and UEFI.

    Args:
        modules: holds the directories `i386-pc` and `x86_64-efi` of the ISO.
        configuration: GRUB commands that run first and set `prefix`.
        core_sector: where the BIOS core image will lie on the disk.
        most_sectors: how many sectors there are for it.
        scratch: takes three small files.

    Raises:
        GrubFailed: boot.img has an unknown size, or the core image does not fit.
        ProgramFailed: grub-mkimage ended otherwise, for a missing module for example.
    """
    early = scratch / "early.cfg"
    early.write_text(configuration)
    made: dict[str, bytes] = {}
    for platform, names in _MODULES.items():
        target = scratch / f"core.{platform}"
        directory = modules / platform
        run(["grub-mkimage", "-O", platform, "-d", directory, "-p", "/boot/grub", "-c", early, "-o", target, *names])
        made[platform] = target.read_bytes()
    core = made[BIOS].ljust(-(-len(made[BIOS]) // SECTOR_BYTES) * SECTOR_BYTES, b"\0")
    sectors = len(core) // SECTOR_BYTES
    if sectors > most_sectors:
        raise GrubFailed(
            f"GRUB's core image takes {sectors} sectors, {most_sectors} are there", hint="use another release"
        )
    return CoreImages(
        _patched_boot_sector((modules / BIOS / "boot.img").read_bytes(), core_sector),
        _patched_core(core, core_sector),
        made[UEFI],
    )


def default_entry(release: str) -> str:
    """Return the id of a release's menu entry, as VyOS' installer computes it."""
    return f"uuid5-{uuid.uuid5(uuid.NAMESPACE_URL, release)}"


def environment_block() -> bytes:
    """Return an empty grubenv: what `grub-editenv create` writes, less the remarks that differ by distribution."""
    return b"# GRUB Environment Block\n".ljust(_ENVIRONMENT_BLOCK_BYTES, b"#")


def console_variables(console: str, speed: int = SERIAL_SPEED) -> dict[str, str]:
    """Return the menu variables of a console such as `ttyS0`, at a speed in baud.

    Raises:
        GrubFailed: it is neither ttyS<n> nor tty<n>.
    """
    match = _CONSOLE.fullmatch(console)
    if match is None:
        raise GrubFailed(f"{console!r} is no console that VyOS' menu knows", hint="use ttyS0 or tty0")
    return {"console_type": match[1], "console_num": match[2], "console_speed": str(speed)}


def render_menu(squashfs: Squashfs, templates: Path, *, version_file: str, release: str, menu: Menu) -> dict[str, str]:
    """Return the boot menu's files, path to text, rendered from the ISO's own templates.

    Args:
        squashfs: tells the layout version of its boot menu.
        templates: the directory that was extracted from it.
        version_file: the Python file in it that tells that version.
        release: the one image that the menu shall offer.
        menu: console, speed and timeout.

    Raises:
        GrubFailed: a template is missing, or is not one that this version of the pipeline can fill.
    """
    defaults = {
        **menu.variables,
        "bootmode": "normal",
        "default": default_entry(release),
    }
    entry = {
        "version_name": release,
        "version_uuid": default_entry(release),
        "boot_opts_default": (
            f"boot=live rootdelay=5 noautologin net.ifnames=0 biosdevname=0 vyos-union=/boot/{release}"
        ),
        "boot_opts": "",
    }
    versions = _layout_version(squashfs, version_file)
    files: Sequence[tuple[str, str, Mapping[str, object]]] = (
        ("/boot/grub/grub.cfg", "grub_main.j2", {}),
        (f"{CONFIG_DIRECTORY}/00-vyos-header.cfg", "grub_vars.j2", {"vars": {"VYOS_CFG_VER": versions}}),
        (f"{CONFIG_DIRECTORY}/10-vyos-modules-autoload.cfg", "grub_modules.j2", {"mods_list": []}),
        (f"{CONFIG_DIRECTORY}/20-vyos-defaults-autoload.cfg", "grub_vars.j2", {"vars": defaults}),
        (f"{CONFIG_DIRECTORY}/25-vyos-common-autoload.cfg", "grub_common.j2", {"search_root": ""}),
        (f"{CONFIG_DIRECTORY}/40-vyos-menu-autoload.cfg", "grub_menu.j2", {}),
        (f"{CONFIG_DIRECTORY}/50-vyos-options.cfg", "grub_options.j2", {}),
        (f"{CONFIG_DIRECTORY}/vyos-versions/{release}.cfg", "grub_vyos_version.j2", entry),
    )
    # Sandboxed: a template is data of an ISO, and gets no further than its text.
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(templates),
        trim_blocks=True,
        undefined=ChainableUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.tests["vyos_defined"] = _is_defined
    try:
        return {path: environment.get_template(name).render(values) for path, name, values in files}
    except TemplateError as error:
        raise GrubFailed(
            f"the boot menu's templates of {release} cannot be filled: {error!r}",
            hint="this release has other templates than the pipeline knows: report it",
        ) from error


def _layout_version(squashfs: Squashfs, version_file: str) -> str:
    """Return the version of the menu's file layout. VyOS rewrites the menu at boot where it is not its own."""
    match = _LAYOUT_VERSION.search(squashfs.read(version_file).decode(errors="replace"))
    if match is None:
        raise GrubFailed(
            f"{version_file} does not set SYSTEM_CFG_VER",
            hint="this release has another boot menu than the pipeline knows: report it",
        )
    return match[1]


def _is_defined(value: object, expected: object = None) -> bool:
    """VyOS' own jinja2 test: the value is there and, where one is asked for, equals it."""
    return not isinstance(value, Undefined) and (expected is None or value == expected)


def _patched_boot_sector(image: bytes, core_sector: int) -> bytes:
    if len(image) != SECTOR_BYTES:
        raise GrubFailed(f"boot.img has {len(image)} bytes, expected {SECTOR_BYTES}", hint="use another release")
    sector = bytearray(image)
    struct.pack_into("<Q", sector, _KERNEL_SECTOR_AT, core_sector)
    # 0xff: start from the drive that the BIOS booted. The two no-ops switch on boot.img's check for a BIOS that
    # passes a floppy's number for a hard disk, as grub-install does on one.
    sector[_BOOT_DRIVE_AT] = 0xFF
    sector[_DRIVE_CHECK_AT : _DRIVE_CHECK_AT + 2] = b"\x90\x90"
    return bytes(sector[:BOOT_CODE_BYTES])


def _patched_core(core: bytes, core_sector: int) -> bytes:
    """Tell the core's first sector where the rest of it lies: one run of sectors right behind it."""
    patched = bytearray(core)
    struct.pack_into("<Q", patched, _NEXT_SECTOR_AT, core_sector + 1)
    struct.pack_into("<H", patched, _SECTOR_COUNT_AT, len(core) // SECTOR_BYTES - 1)
    return bytes(patched)
