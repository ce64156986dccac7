"""Where things lie in a VyOS release: found in its squashfs, not assumed.

VyOS moves its files: the default configuration went from /opt/vyatta/etc to /usr/share/vyos in January 2026 (T8185).
What is written to the old place is not read, and the login that every ISO has stays armed. So everything that
is built upon is looked for by name, and what is not there, or not there once, is an error that says what was looked
for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from hyops_assets.image.disk.grub import BIOS, UEFI
from hyops_assets.image.intake.volume import BadIso
from hyops_assets.image.squashfs import MissingMember, Squashfs

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
_GRUB_FILES = (f"{BIOS}/boot.img", f"{BIOS}/kernel.img", f"{UEFI}/kernel.img")
_USUAL_MODULES = "/usr/lib/grub"
_USUAL_TEMPLATES = "/usr/share/vyos/templates/grub"
_USUAL_PACKAGES = "/usr/lib/python3/dist-packages"


class UnknownLayout(BadIso):
    """A VyOS ISO whose files lie where this pipeline does not find them, or in two places at once."""


@dataclass(frozen=True)
class Layout:
    """Where a release keeps what a disk of it is made from. Paths are members of its squashfs, links resolved.

    Attributes:
        boot_files: what stands in /boot, by name; `vmlinuz` and `initrd.img`, which the boot menu starts, among it.
        menu_templates: the directory of the boot menu's templates.
        menu_version: the Python file that tells the version of the boot menu's files.
        grub_modules: the directory of `i386-pc` and `x86_64-efi`.
    """

    boot_files: Mapping[str, str]
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
    if not default_configs(squashfs):
        faults.append(f"no {_CONFIG} in any directory")
    templates = _one_of(names, MENU_TEMPLATES, _USUAL_TEMPLATES, faults)
    modules = _one_of(names, _GRUB_FILES, _USUAL_MODULES, faults)
    packages = _one_of(names, (_MENU_VERSION,), _USUAL_PACKAGES, faults)
    if faults:
        raise UnknownLayout(
            f"the release in {squashfs.path.name} is laid out as no VyOS known here: {'; '.join(faults)}",
            hint="give an installer ISO of VyOS 1.4 or newer; if it is one, report its version: its layout is new",
        )
    return Layout(boot_files, templates, f"{packages}/{_MENU_VERSION}", modules)


def default_configs(squashfs: Squashfs) -> list[str]:
    """Return every configuration that VyOS may start from without one of its own; each carries a login."""
    return sorted(_by_name(squashfs).get(_CONFIG, []))


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
        if members[target].kind == "file":
            found[pure.name] = target
    for name in (_KERNEL, _INITRD):
        _decide(name, found, faults)
        if name in found and not members[found[name]].size:
            faults.append(f"{_BOOT}/{name} is empty")
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
        faults.append(f"no {_BOOT}/{name} and no {_BOOT}/{name}-<version>")


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


def _one_of(names: Mapping[str, list[str]], wanted: Sequence[str], usual: str, faults: list[str]) -> str:
    """Return the directory below which every one of the wanted files stands: the usual one, or the only one."""
    holding = [_holding(names, name) for name in wanted]
    found = sorted(set.intersection(*holding))
    if usual in found or not found:
        if not found:
            faults.append(_missing(wanted, holding, usual))
        return usual
    if len(found) > 1:
        faults.append(f"{', '.join(wanted)} in {' and in '.join(found)}, and not in {usual}")
    return found[0]


def _holding(names: Mapping[str, list[str]], wanted: str) -> set[str]:
    """Return the directories below which a file stands: `/a` for `/a/b/c.img` and `b/c.img`."""
    tail = f"/{wanted}"
    return {path.removesuffix(tail) for path in names.get(PurePosixPath(wanted).name, []) if path.endswith(tail)}


def _missing(wanted: Sequence[str], holding: Sequence[set[str]], usual: str) -> str:
    """Say what a directory lacks that holds some of the wanted files, or that none holds any."""
    candidates = set.union(*holding)
    if not candidates:
        return f"no {', '.join(wanted)} in any directory (usually {usual})"
    place = usual if usual in candidates else min(candidates)
    lacking = [name for name, places in zip(wanted, holding, strict=True) if place not in places]
    return f"{place} lacks {', '.join(lacking)}"
