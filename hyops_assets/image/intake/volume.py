"""The ISO as a volume: is the file whole, and its files taken out of it without mounting.

What belongs here: ISO 9660 (ECMA-119) and what must not come out of it. What the files say is read elsewhere.
"""

import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress
from hyops_assets.image.bounded import Limits, run_bounded
from hyops_assets.image.budget import OverBudget
from hyops_assets.image.programs import ProgramFailed
from hyops_assets.image.space import space_needed

_BLOCK_BYTES = 2048
# ECMA-119 8.4: the primary volume descriptor in block 16, its volume space size at byte 80, its block size at 128.
_DESCRIPTOR_AT, _DESCRIPTOR = 16 * _BLOCK_BYTES, b"\x01CD001"
_VOLUME_BLOCKS, _VOLUME_BLOCK_BYTES = struct.Struct("<80xI44xH"), 128 + 2
_SPARE_BYTES = 64 << 20
"""What may follow the volume: a hybrid ISO's padding, and partitions that were appended to it."""
_MOST_FILES = 20_000
"""Of an installer's ISO. VyOS' has a few hundred beside its squashfs."""
_COPIES, _SPARE_COPY_BYTES = 2, 16 << 20
"""How often its own size an ISO may hold: writers put files of the same bytes, a kernel's two names, in one place."""
_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_STAGE = "take the ISO apart"
_DISTRUST = "do not use this ISO; take one from the vendor"


class BadIso(HyopsError):
    """Not an ISO, not a VyOS ISO, or a damaged one."""


@contextmanager
def taken_apart(iso: Path, root: Path, progress: Progress) -> Iterator[Mapping[str, Path]]:
    """Take every file out of an ISO, and remove them again where the block fails.

    Args:
        iso: the file.
        root: receives the tree. What a killed run left there is removed first.
        progress: called with the stage; what it raises goes through.

    Yields:
        The regular files, by their path in the ISO without a leading slash.

    Raises:
        BadIso: no ISO, a truncated one, or one that holds a device, or a link that leaves it.
        OverBudget: it has more files than an installer, or they have more bytes than the ISO: several in one place.
        NoSpace: no room.
    """
    size = require_whole(iso)
    _remove(root)
    try:
        with space_needed(root.parent, size):
            _extract(iso, root, size, lambda: progress(_STAGE, _written(iso, root, size), size))
            _written(iso, root, size)
        files = _files(iso, root)
        progress(_STAGE, size, size)
        yield files
    except BaseException:
        # Whatever ends it, a cancellation too: half an ISO must not be taken for a whole one.
        _remove(root)
        raise


def require_whole(iso: Path) -> int:
    """Return the size of an ISO in bytes, having read one block of it.

    Raises:
        BadIso: it is no regular file, no ISO 9660 image, shorter than the volume it begins with, or much longer.
    """
    try:
        found = iso.stat()
        if not stat.S_ISREG(found.st_mode):
            raise BadIso(f"{iso.name} is no regular file", hint="name the ISO's file")
        with iso.open("rb") as file:
            file.seek(_DESCRIPTOR_AT)
            descriptor = file.read(_BLOCK_BYTES)
    except OSError as error:
        raise BadIso(f"{iso} cannot be read: {error.strerror}", hint="name the ISO's file") from error
    # xorriso takes any file for a medium and extracts nothing from one that holds no file system.
    if not descriptor.startswith(_DESCRIPTOR) or len(descriptor) < _VOLUME_BLOCK_BYTES:
        raise BadIso(
            f"{iso.name} is not an ISO 9660 image ({found.st_size} bytes)", hint="give an installer ISO of VyOS"
        )
    blocks, block_bytes = _VOLUME_BLOCKS.unpack_from(descriptor)
    volume = blocks * block_bytes
    if found.st_size < volume:
        raise BadIso(
            f"{iso.name} is cut short: {found.st_size} of the {volume} bytes that its volume has",
            hint="fetch the ISO again",
        )
    if found.st_size > volume + _SPARE_BYTES:
        raise BadIso(
            f"{iso.name} has {found.st_size} bytes for a volume of {volume}: it is not one ISO alone",
            hint="fetch the ISO again, from the vendor",
        )
    return found.st_size


def _extract(iso: Path, root: Path, size: int, waiting: Callable[[], None]) -> None:
    try:
        # -no_rc: a user's ~/.xorrisorc must not change what is read.
        words = ["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", root]
        run_bounded(words, limits=Limits(seconds=300, file_bytes=size, wall_seconds=1800), waiting=waiting)
    except ProgramFailed as error:
        raise BadIso(f"{iso.name} cannot be read as an ISO: {error.message}", hint="fetch it again") from error


def _remove(root: Path) -> None:
    """Remove a tree that was extracted, wholly or half: its directories may still be read-only for their user."""
    if not root.exists():
        return
    root.chmod(_DIRECTORY_MODE)
    for parent, directories, _names in os.walk(root):
        for path in (Path(parent) / name for name in directories):
            if not path.is_symlink():
                path.chmod(_DIRECTORY_MODE)
    shutil.rmtree(root)


def _written(iso: Path, root: Path, iso_bytes: int) -> int:
    """Return how many bytes stand below a directory that is being filled, as far as it may be looked into.

    Raises:
        OverBudget: far more than the ISO has, or more files than an installer has.
    """
    sizes = count = 0
    for parent, directories, names in os.walk(root):
        count += len(directories) + len(names)
        if count > _MOST_FILES:
            raise OverBudget(f"what {iso.name} holds", f"{_MOST_FILES} files")
        for name in names:
            with suppress(FileNotFoundError):
                sizes += os.lstat(f"{parent}/{name}").st_size
        if sizes > _COPIES * iso_bytes + _SPARE_COPY_BYTES:
            raise OverBudget(f"what {iso.name} holds", f"{_COPIES} times its own {iso_bytes} bytes")
    return sizes


def _files(iso: Path, root: Path) -> dict[str, Path]:
    """Return the regular files, made writable for their user; refuse what is no part of an installer."""
    files: dict[str, Path] = {}
    inside = os.path.realpath(root)
    # The ISO's own modes are read-only, or worse; an ordinary user could neither read nor remove what was extracted.
    root.chmod(_DIRECTORY_MODE)
    for parent, directories, others in os.walk(root, onerror=_unreadable):
        for path in (Path(parent) / name for name in (*directories, *others)):
            mode = path.lstat().st_mode
            name = str(path.relative_to(root))
            if stat.S_ISDIR(mode):
                path.chmod(_DIRECTORY_MODE)
            elif stat.S_ISREG(mode):
                path.chmod(_FILE_MODE)
                files[name] = path
            elif stat.S_ISLNK(mode):
                target = os.path.realpath(path)
                if target != inside and not target.startswith(f"{inside}/"):
                    raise BadIso(
                        f"{iso.name} holds the link {name!r} to {str(path.readlink())!r}, which leaves it",
                        hint=_DISTRUST,
                    )
            else:
                raise BadIso(f"{iso.name} holds {name!r}, which is no file: {stat.filemode(mode)}", hint=_DISTRUST)
    return files


def _unreadable(error: OSError) -> None:
    raise error
