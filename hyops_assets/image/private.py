"""Directories that only their owner enters, whatever the umask of the process that makes them."""

from pathlib import Path

PRIVATE = 0o700


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
