"""`/tmp/hyops-hetzner-seed`: where a raw.xz is made that is served for one seed (source document, "Cleanup")."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hyops_assets.image.private import make_own_directory
from resources.artifacts.scratch import scratch_below

STAGING = Path("/tmp/hyops-hetzner-seed")  # noqa: S108 - the source document names it; whose it is is looked at


@contextmanager
def staged(directory: Path = STAGING) -> Iterator[Path]:
    """Yield a private directory of this process in the staging directory; sweep those of dead processes first.

    Afterwards both are gone, the staging directory unless another process is in it.

    Raises:
        ForeignDirectory: the staging directory is another user's, or open to others.
    """
    with ExitStack() as stack:
        yield _entered(stack, directory)


def _entered(stack: ExitStack, directory: Path) -> Path:
    while True:
        make_own_directory(directory)
        stack.callback(_remove_empty, directory)
        # A run that ended may have removed the directory between the two.
        with suppress(FileNotFoundError):
            return stack.enter_context(scratch_below(directory, "wrap"))


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()
