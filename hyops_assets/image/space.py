"""No room on a disk: said before the work where it can be known, and as one error where it comes in the middle."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.contract.errors import HyopsError, TransientError, said_by_system

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a full disk, a quota and a file size limit answer to a write."""

# What programs print, in the C locale, and how the kernel ends one that writes beyond its file size limit.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "SIGXFSZ", "Disk full")


class NoSpace(TransientError):
    """A file system, a quota or a file size limit is too small. A run with more room goes through."""


@contextmanager
def space_needed(directory: Path, size_bytes: int) -> Iterator[None]:
    """Do work that writes so many bytes to a directory's file system; say it in one way when they do not fit.

    Raises:
        NoSpace: fewer bytes are free at the beginning, or none were left in the middle.
    """
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    if free < size_bytes:
        raise _no_space(directory, f"{size_bytes >> 20} MiB are needed, {free >> 20} MiB are free")
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _no_space(directory, said_by_system(error)) from error
    except NoSpace:
        raise
    except HyopsError as error:
        # The caller may have put the program's words into an error of its own.
        if not any(word in error.message for word in _FULL_WORDS):
            raise
        raise _no_space(directory, error.message) from error


def _no_space(directory: Path, why: str) -> NoSpace:
    return NoSpace(f"no space left at {directory}: {why}", hint="free space there, or raise the file size limit")
