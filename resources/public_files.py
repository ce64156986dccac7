"""Files that anyone may read: at a path of this host, or at an https URL, fetched whole and with a limit.

What belongs here: one file, once, for a person's command. Transfers that go on after a break are the feed's.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.urls import Url
from hyops_assets.image.atomic_write import replacing
from hyops_assets.image.space import space_needed
from resources.answers import Pace, TooManyBytes
from resources.public_http import anonymous_client, opened

__all__ = ["NoRegularFile", "TooManyBytes", "fetch_file", "is_url", "opened_file", "read_document", "require_file"]

MOST_DOCUMENT_BYTES = 16 << 20


class NoRegularFile(Refused):
    """A path names a device, a pipe, a directory, or a file that a kernel makes up while it is read."""


def is_url(where: str) -> bool:
    """Tell a URL from a path."""
    return "://" in where


def fetch_file(
    url: str | Url,
    destination: Path,
    *,
    most_bytes: int,
    progress: Progress = silent,
    pace: Pace | None = None,
) -> None:
    """Write what a URL answers to a file, which appears when it is complete.

    Args:
        url: https; redirects are followed on the same host only.
        destination: the file.
        most_bytes: what it may have; asked of the server first, and counted while it arrives.
        progress: called with the bytes that arrived; cancels by raising.
        pace: how slow the server may be.

    Raises:
        TooManyBytes: the server announces more, or sends more.
        NoSpace: the destination is full.
        NotAllowed, NotFound, Unreachable, TooSlow, Untrusted, UnexpectedAnswer: as `public_http.opened` does.
    """
    with (
        anonymous_client(pace) as client,
        opened(client, url) as answer,
        space_needed(destination.absolute().parent, 0),
        replacing(destination) as partial,
        partial.open("wb") as file,
    ):
        done = 0
        for piece in answer.pieces(most_bytes):
            file.write(piece)
            done += len(piece)
            progress("download", done, answer.size_bytes)


def read_document(where: str, *, most_bytes: int = MOST_DOCUMENT_BYTES, pace: Pace | None = None) -> bytes:
    """Return the bytes of a small file, by its path or its https URL.

    Raises:
        TooManyBytes: it is not small.
        NoRegularFile: the path names something else than a file.
        OSError: there is no such path, or it may not be read.
        as `fetch_file` does.
    """
    if is_url(where):
        with anonymous_client(pace) as client, opened(client, where) as answer:
            return answer.read(most_bytes)
    with opened_file(Path(where)) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooManyBytes(where, most_bytes)
    return content


def require_file(path: Path) -> Path:
    """Return the path of a regular file that has bytes, unchanged.

    Raises:
        NoRegularFile: it is none, or has no bytes, as what a kernel makes up under `/proc` says of itself.
        OSError: there is no such path, or it may not be read.
    """
    with opened_file(path):
        return path


@contextmanager
def opened_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file that has bytes. Nothing else is waited for: a pipe that has no writer is none.

    Raises:
        NoRegularFile, OSError: as `require_file` does.
    """
    if "\0" in str(path):
        raise NoRegularFile(f"{str(path)!r} is no path", hint="name a file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NoRegularFile(f"{path} is no file", hint="copy what it holds into a file, and name that")
        if found.st_size == 0:
            raise NoRegularFile(f"{path} holds 0 bytes", hint="name a file that holds something")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)
