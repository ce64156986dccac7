"""`/tmp/hyops-hetzner-seed`: where a raw.xz is made that is served for one seed (source document, "Cleanup")."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hyops_assets.contract.errors import Refused
from resources.artifacts.scratch import scratch_below

STAGING = Path("/tmp/hyops-hetzner-seed")  # noqa: S108 - the source document names it; whose it is is looked at


@contextmanager
def staged(directory: Path = STAGING) -> Iterator[Path]:
    """Yield a private directory of this process in the staging directory; sweep those of dead processes first.

    Afterwards both are gone, the staging directory unless another process is in it.

    Raises:
        Refused: the staging directory is somebody else's, or open to others: they could put a link in it.
    """
    with ExitStack() as stack:
        yield _entered(stack, directory)


def _entered(stack: ExitStack, directory: Path) -> Path:
    while True:
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise Refused(
                f"{directory} is open to other users, or theirs", hint=f"look whose it is, and remove {directory}"
            )
        stack.callback(_remove_empty, directory)
        # A run that ended may have removed the directory between the two.
        with suppress(FileNotFoundError):
            return stack.enter_context(scratch_below(directory, "wrap"))


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()
