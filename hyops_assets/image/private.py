"""Directories that only their owner enters, whatever the umask of the process that makes them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from hyops_assets.contract.errors import Refused

PRIVATE = 0o700


class ForeignDirectory(Refused):
    """A directory at a name that every user knows is another user's or open to others, who could put links there."""


def make_private_directory(directory: Path) -> None:
    """Create a directory and every missing one above it, each with mode 0700; what exists stays as it is.

    `Path.mkdir(parents=True)` gives its mode to the last one alone, and the umask takes from that.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        try:
            path.mkdir(mode=PRIVATE)
        except FileExistsError:
            # Another process was faster: it does the same. A file, or a link that leads nowhere, is no directory.
            if not path.is_dir():
                raise
        else:
            # A umask that takes from the owner too would leave a directory of no use.
            path.chmod(PRIVATE)


def make_own_directory(directory: Path) -> None:
    """Create a directory below one that every user may write to, such as /tmp, or find this user's own there.

    Raises:
        ForeignDirectory: what is there is no directory, another user's, or open to others.
    """
    # What is there may also be a file, or a link that leads nowhere.
    with suppress(FileExistsError):
        directory.mkdir(mode=PRIVATE)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & ~PRIVATE:
        raise ForeignDirectory(
            f"{directory} is no directory that only user {os.getuid()} enters",
            hint=f"look whose it is, and remove {directory}",
        )
