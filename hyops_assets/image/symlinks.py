"""Following symbolic links inside an image, as a guest would: never out of it.

What a path stands for is the caller's to say: a squashfs, an overlay being built and a disk being inspected answer
from different places.
"""

from collections.abc import Callable
from pathlib import PurePosixPath

from hyops_assets.contract.errors import HyopsError

MOST_LINKS = 40
"""As many as Linux follows in one path (path_resolution(7))."""


class SymlinkLoop(HyopsError):
    """A path's links go round in circles."""


def follow(path: str | PurePosixPath, target_of: Callable[[str], str | None]) -> str:
    """Return the path that is reached when every link on the way is followed; `..` ends at the root.

    Args:
        path: absolute.
        target_of: called with each absolute path on the way; returns a link's target, None for anything else. What it
            raises, for a path that does not exist say, goes through.

    Raises:
        SymlinkLoop: more links than Linux follows.
    """
    pending = list(reversed(PurePosixPath("/", path).parts[1:]))
    at = PurePosixPath("/")
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            at = at.parent
            continue
        found = target_of(str(at / part))
        if found is None:
            at /= part
            continue
        links += 1
        if links > MOST_LINKS:
            raise SymlinkLoop(f"the symlinks of {path} go round in circles", hint="inspect the image or the package")
        target = PurePosixPath(found)
        at = PurePosixPath("/") if target.is_absolute() else at
        pending += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return str(at)
