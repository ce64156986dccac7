"""Files that appear whole or not at all: written under a temporary name, renamed at the end.

The temporary name is fixed, so that a killed run's leftover is taken over by the next one instead of piling up;
a lock keeps two writers of the same file apart. The lock dies with its process, whatever kills it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.errors import TransientError

_SUFFIX = ".partial"


class BeingWritten(TransientError):
    """Another process is writing the same file at this moment."""


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Give a path to write to; put it in the destination's place when the block ends well, else remove it.

    The path names an empty file in the destination's directory. It must still be there at the end.

    Raises:
        BeingWritten: another process holds the same destination.
    """
    partial = destination.with_name(destination.name + _SUFFIX)
    descriptor = _locked(partial, destination)
    try:
        os.ftruncate(descriptor, 0)
        yield partial
        partial.replace(destination)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _locked(partial: Path, destination: Path) -> int:
    """Open and lock the partial file; the returned descriptor is of the file that has the name now."""
    while True:
        # A link in the partial file's place would have its target emptied: OSError instead.
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its former owner may have renamed or removed it between our open and our lock.
            if os.path.samestat(os.fstat(descriptor), partial.stat()):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise BeingWritten(
                f"{destination} is being written by another process",
                hint="wait for the other run to end, then run again",
            ) from error
        except FileNotFoundError:
            pass
        os.close(descriptor)
