"""Where things lie in a VyOS release: found in its squashfs, not assumed.

VyOS moves its files: the default configuration went from /opt/vyatta/etc to /usr/share/vyos in January 2026 (T8185).
Whoever writes to the old place writes for nobody, and the login that every ISO has stays armed. So everything that
is built upon is looked for by name, and what is not there, or not there once, is an error that says what was looked
for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hyops_assets.image.intake.volume import BadIso
from hyops_assets.image.squashfs import MissingMember, Squashfs

GRUB_PLATFORMS = ("i386-pc", "x86_64-efi")
"""What a disk starts by, under BIOS and under UEFI."""

MENU_TEMPLATES = (
    "grub_main.j2",
    "grub_vars.j2",
    "grub_modules.j2",
    "grub_common.j2",
    "grub_menu.j2",
    "grub_options.j2",
    "grub_vyos_version.j2",
)
"""The templates that a disk's boot menu is rendered from."""

_KERNEL, _INITRD = "vmlinuz", "initrd.img"
_BOOT = "/boot"
_CONFIG = "config.boot.default"
_MENU_VERSION = "vyos/system/__init__.py"
_USUAL_MODULES = "/usr/lib/grub"
_USUAL_TEMPLATES = "/usr/share/vyos/templates/grub"
_USUAL_MENU_VERSION = f"/usr/lib/python3/dist-packages/{_MENU_VERSION}"


class UnknownLayout(BadIso):
    """A VyOS ISO whose files lie where this pipeline does not find them, or in two places at once."""


@dataclass(frozen=True)
class Layout:
    """Where a release keeps what a disk of it is made from. Paths are members of its squashfs, links resolved.

    Attributes:
        boot_files: what stands in /boot, by name; `vmlinuz` and `initrd.img`, which the boot menu starts, among it.
        default_configs: every configuration that VyOS may start from without one of its own.
        menu_templates: the directory of the boot menu's templates.
        menu_version: the Python file that tells the version of the boot menu's files.
        grub_modules: the directory of `i386-pc` and `x86_64-efi`.
    """

    boot_files: Mapping[str, str]
    default_configs: Sequence[str]
    menu_templates: str
    menu_version: str
    grub_modules: str


def find_layout(squashfs: Squashfs) -> Layout:
    """Return where a release keeps its files.

    Raises:
        UnknownLayout: names everything that was looked for in vain or found twice.
        BadSquashfs: the squashfs cannot be read.
    """
    faults: list[str] = []
    boot_files = _boot_files(squashfs, faults)
    names = _by_name(squashfs)
    configs = names.get(_CONFIG, [])
    if not configs:
        faults.append(f"no {_CONFIG} in any directory")
    templates = _one_of(_holding(names, MENU_TEMPLATES), _USUAL_TEMPLATES, _all_of(MENU_TEMPLATES), faults)
    modules = _holding(names, [f"{platform}/kernel.img" for platform in GRUB_PLATFORMS] + ["i386-pc/boot.img"])
    grub = _one_of(modules, _USUAL_MODULES, f"GRUB for {' and '.join(GRUB_PLATFORMS)}", faults)
    versions = [path for path in names.get("__init__.py", []) if path.endswith(f"/{_MENU_VERSION}")]
    version = _one_of(versions, _USUAL_MENU_VERSION, _MENU_VERSION, faults)
    if faults:
        raise UnknownLayout(
            f"the release in {squashfs.path.name} is laid out as no VyOS known here: {'; '.join(faults)}",
            hint="give an installer ISO of VyOS 1.4 or newer; if it is one, report its version: its layout is new",
        )
    return Layout(boot_files, tuple(sorted(configs)), templates, version, grub)


def _boot_files(squashfs: Squashfs, faults: list[str]) -> dict[str, str]:
    """Return the files of /boot, links followed as VyOS' installer does, with the kernel that shall boot."""
    members = squashfs.members()
    found: dict[str, str] = {}
    for path in members:
        pure = PurePosixPath(path)
        if str(pure.parent) != _BOOT:
            continue
        try:
            target = squashfs.resolve(path)
        except MissingMember:
            # A link to a kernel that was removed, vmlinuz.old for example, is none of the installer's files either.
            continue
        if members[target].kind == "file" and members[target].size:
            found[pure.name] = target
    for name in (_KERNEL, _INITRD):
        _decide(name, found, faults)
    versions = {name: _version(name, found[name]) for name in (_KERNEL, _INITRD) if name in found}
    if len(set(filter(None, versions.values()))) > 1:
        named = " and ".join(f"{name} is of {version}" for name, version in versions.items())
        faults.append(f"{_BOOT}: {named}, and the one does not boot with the other")
    return found


def _decide(name: str, found: dict[str, str], faults: list[str]) -> None:
    """Settle which of several kernels boots: the one that the plain name leads to, else the only one."""
    if name in found:
        return
    versioned = sorted(candidate for candidate in found if candidate.startswith(f"{name}-"))
    if len(versioned) == 1:
        found[name] = found[versioned[0]]
    elif versioned:
        faults.append(f"{_BOOT} has {' and '.join(versioned)}, and no {name} that tells which of them boots")
    else:
        faults.append(f"no {_BOOT}/{name} and no {_BOOT}/{name}-<version> with anything in it")


def _version(name: str, member: str) -> str | None:
    """Return the kernel version that a file of /boot is named after; None where its name tells none."""
    return PurePosixPath(member).name.removeprefix(name).removeprefix("-") or None


def _by_name(squashfs: Squashfs) -> dict[str, list[str]]:
    """Return the regular files by their last name."""
    names: dict[str, list[str]] = {}
    for path, member in squashfs.members().items():
        if member.kind == "file":
            names.setdefault(PurePosixPath(path).name, []).append(path)
    return names


def _holding(names: Mapping[str, list[str]], wanted: Sequence[str]) -> list[str]:
    """Return the directories below which every one of the wanted files stands."""
    directories: set[str] | None = None
    for name in wanted:
        tail = f"/{name}"
        holding = {path.removesuffix(tail) for path in names.get(PurePosixPath(name).name, []) if path.endswith(tail)}
        directories = holding if directories is None else directories & holding
    return sorted(directories or ())


def _one_of(found: Sequence[str], usual: str, what: str, faults: list[str]) -> str:
    """Return the usual place where it is among those found, else the only one."""
    if usual in found:
        return usual
    if len(found) == 1:
        return found[0]
    if found:
        faults.append(f"{what} in {' and '.join(found)}, and not in {usual}")
    else:
        faults.append(f"no {what} in any directory (usually {usual})")
    return usual


def _all_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} together"
