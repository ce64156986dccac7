"""Questions about the image on the disk: its files, the menu that starts it, and its overlay's directories."""

import hashlib
import re
from collections.abc import Callable
from pathlib import PurePosixPath

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.grub import CONFIG_DIRECTORY, console_variables
from hyops_assets.image.inspection.view import Fault, NotCompared, View
from hyops_assets.image.squashfs import MissingMember

_REQUIRED_BOOT_FILES = ("vmlinuz", "initrd.img")
_MOST_BOOT_FILE_BYTES = 1 << 30
_MOST_MENU_BYTES = 64 << 10
_SPEEDS = ["9600", "19200", "38400", "57600", "115200"]
_DEFAULT = re.compile(r'^\s*set default="?([^"\s]+)"?', re.MULTILINE)
_VARIABLE = re.compile(r'^\s*set (\w+)="?([^"\n]*)"?', re.MULTILINE)
_ENTRY = re.compile(r'^menuentry\s+"([^"]+)"\s+--id\s+(\S+)\s*\{(.*?)^\}', re.MULTILINE | re.DOTALL)
_LOADED = re.compile(r'^\s*(linux|initrd)\s+"?([^"\s]+)"?', re.MULTILINE)
_UNION = re.compile(r'vyos-union=([^"\s]+)')
_USRMERGE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


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
    found, expected = view.squashfs_sha256, view.expected.squashfs_sha256
    if expected is None:
        raise NotCompared(f"the squashfs (sha256 {found})")
    if found != expected:
        raise Fault(f"sha256 {found}, expected {expected}")
    return f"sha256 {found}"


def kernel_is_the_isos(view: View) -> str:
    """Kernel, initrd and what else lies beside the squashfs are not empty, and those of the squashfs' own /boot."""
    beside = [name for name in view.files.names(view.image) if f"{view.image}/{name}" in _files(view)]
    members = view.squashfs.members()
    compared: dict[str, str] = {}
    for name in dict.fromkeys([*_REQUIRED_BOOT_FILES, *beside]):
        try:
            at = view.squashfs.resolve(f"/boot/{name}")
        except MissingMember:
            if name in _REQUIRED_BOOT_FILES:
                raise
            continue
        size = view.files.require(_at(view, name), "file").size
        if size == 0 or size != members[at].size or size > _MOST_BOOT_FILE_BYTES:
            raise Fault(f"{name} of {size} bytes is not the ISO's, which has {members[at].size}")
        compared[name] = at
    with view.room("boot") as room:
        view.squashfs.extract(set(compared.values()), room / "squashfs")
        for name, at in compared.items():
            if _sha256(view, _at(view, name)) != sha256_of_file(room / "squashfs" / at.lstrip("/")):
                raise Fault(f"{name} is as long as the ISO's, with other bytes")
    return f"{', '.join(compared)} as in the squashfs"


def default_entry_starts_the_image(view: View) -> str:
    """The menu's default names an entry that loads the image's own kernel and initrd over its own overlay."""
    default, title, body = default_entry(view)
    loaded = dict(_LOADED.findall(body))
    expected = {"linux": f"{view.image}/vmlinuz", "initrd": f"{view.image}/initrd.img"}
    over = sorted(set(_UNION.findall(body)))
    if loaded != expected or over != [view.image]:
        raise Fault(f"entry {title} loads {loaded} over {over}, expected {expected} over {view.image}")
    for path in expected.values():
        view.files.require(view.files.resolve(path), "file")
    return f"{default} starts {title}"


def default_entry(view: View) -> tuple[str, str, str]:
    """Return id, title and commands of the menu's entry that starts unasked.

    Raises:
        Fault: the menu names none, or one that is not there.
    """
    default = _last(_DEFAULT.findall(_menu_settings(view)), "no menu file sets a default")
    entries = {found[2]: found for found in _ENTRY.finditer(menu_entries(view))}
    if default not in entries:
        raise Fault(f"the default {default} is none of the entries {sorted(entries)}")
    return default, entries[default][1], entries[default][3]


def menu_entries(view: View) -> str:
    """Return the text of every entry of the menu."""
    directory = PurePosixPath(CONFIG_DIRECTORY) / "vyos-versions"
    return _text(view, [str(directory / name) for name in view.files.names(str(directory))])


def console_is_set(view: View) -> str:
    """The menu passes the console that was asked for on to the kernel."""
    settings = dict(_VARIABLE.findall(_menu_settings(view)))
    found = f"{settings.get('console_type', '')}{settings.get('console_num', '')}"
    speed, wanted = settings.get("console_speed", ""), view.expected
    speeds = [str(wanted.console_speed)] if wanted.console_speed else _SPEEDS
    # Raises where VyOS' menu knows no such console.
    console_variables(found)
    if wanted.console not in (None, found) or speed not in speeds:
        raise Fault(f"console {found!r} at {speed!r}, expected {wanted.console or 'any'} at {' or '.join(speeds)}")
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
    if view.guest.strange_marks:
        raise Fault(f"the overlay carries {', '.join(view.guest.strange_marks)}: whose effect was not looked at")
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
        holds_one_image,
        squashfs_is_the_isos,
        kernel_is_the_isos,
        default_entry_starts_the_image,
        console_is_set,
        overlay_is_laid_out,
        merged_directories_stay_links,
    )
}


def _last(found: list[str], otherwise: str) -> str:
    if not found:
        raise Fault(otherwise)
    return found[-1]


def _menu_settings(view: View) -> str:
    """Return the menu's settings in the order in which GRUB reads them."""
    names = [name for name in view.files.names(CONFIG_DIRECTORY) if name.endswith("-autoload.cfg")]
    return _text(view, [f"{CONFIG_DIRECTORY}/{name}" for name in names])


def _text(view: View, paths: list[str]) -> str:
    return "\n".join(view.files.read(path, most_bytes=_MOST_MENU_BYTES).decode(errors="replace") for path in paths)


def _at(view: View, name: str) -> str:
    """Return where a file of the image lies: a builder may have copied VyOS' `vmlinuz` as the link that it is."""
    return view.files.resolve(f"{view.image}/{name}")


def _files(view: View) -> set[str]:
    return {path for path, entry in view.files.tree.items() if entry.kind == "file"}


def _sha256(view: View, path: str) -> str:
    digest = hashlib.sha256()
    for piece in view.files.pieces(path, most_bytes=_MOST_BOOT_FILE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
