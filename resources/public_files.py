"""Files that anyone may read: at a path of this host, or at an https URL, fetched whole and with a limit.

What belongs here: one file, once, for a person's command. Transfers that go on after a break are the feed's.
"""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import httpx

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.partial import replacing
from hyops_assets.image.space import space_needed
from resources.public_http import anonymous_client, host_of, opened, shown

MOST_DOCUMENT_BYTES = 16 << 20


class TooManyBytes(Refused):
    """A file is larger than whoever asked for it allows."""

    def __init__(self, where: str, most_bytes: int) -> None:
        super().__init__(f"{where} has more than {most_bytes} bytes", hint="see that it is what you meant")


def is_url(where: str) -> bool:
    """Tell a URL from a path."""
    return "://" in where


def fetch_file(url: str, destination: Path, *, most_bytes: int, progress: Progress = silent) -> None:
    """Write what a URL answers to a file, which appears when it is complete.

    Args:
        url: https; redirects are followed on the same host only.
        destination: the file.
        most_bytes: what it may have; asked of the server first, and counted while it arrives.
        progress: told the bytes that arrived; cancels by raising.

    Raises:
        TooManyBytes: the server announces more, or sends more.
        NoSpace: the destination is full.
        NotAllowed, NotFound, Unreachable, Untrusted, UnexpectedAnswer: as `public_http.opened` does.
    """
    with (
        space_needed(destination.absolute().parent, 0),
        replacing(destination) as partial,
        partial.open("wb") as file,
        closing(_pieces(url, most_bytes, progress)) as pieces,
    ):
        for piece in pieces:
            file.write(piece)


def read_document(where: str, *, most_bytes: int = MOST_DOCUMENT_BYTES) -> bytes:
    """Return the bytes of a small file, by its path or its https URL.

    Raises:
        TooManyBytes: it is not small.
        OSError: there is no such path, or it may not be read.
        as `fetch_file` does.
    """
    if is_url(where):
        with closing(_pieces(where, most_bytes, silent)) as pieces:
            return b"".join(pieces)
    with Path(where).open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TooManyBytes(where, most_bytes)
    return content


def _pieces(url: str, most_bytes: int, progress: Progress) -> Generator[bytes, None, None]:
    with anonymous_client() as client, opened(client, url, hosts={host_of(url)}) as answer:
        total = _announced(answer)
        if total is not None and total > most_bytes:
            raise TooManyBytes(shown(url), most_bytes)
        done = 0
        for piece in answer.iter_raw():
            done += len(piece)
            if done > most_bytes:
                raise TooManyBytes(shown(url), most_bytes)
            yield piece
            progress("download", done, total)


def _announced(answer: httpx.Response) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
