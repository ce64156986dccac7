"""An object as anyone reads it: every byte from its public URL, no credentials, no redirect."""

import hashlib
from collections.abc import Callable

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from resources.answers import Pace
from resources.public_http import NotFound, UnexpectedAnswer, anonymous_client, opened
from resources.repository.base import ObjectRepository, ReadBack, missing

MOST_BYTES = 64 << 30
"""As much data as a record's disk may hold. With the least rate it is what bounds a reading in time."""


def read_published(url: str, repository: ObjectRepository, *, progress: Progress = silent) -> ReadBack:
    """Return what anyone reads at a URL of a contract, of any publisher: this repository, a command, others.

    Raises:
        as `read_public` and the repository do; a file's URL is the repository's own or refused.
    """
    if url.startswith("file:"):
        return repository.read_anonymous(url, progress=progress)
    return read_public(url, progress=progress)


def read_public(
    url: str, *, most_bytes: int = MOST_BYTES, progress: Progress = silent, pace: Pace | None = None
) -> ReadBack:
    """Return digest and size of the bytes behind a URL.

    Args:
        url: https or http.
        most_bytes: what may be there.
        progress: called with the bytes that arrived; cancels by raising.
        pace: how slow the server may be.

    Raises:
        ObjectMissing: there are none.
        Refused: the URL answers with a redirect.
        TooManyBytes: there are more, or it says so.
        TransientError: it could not be read now.
        Untrusted, UnexpectedAnswer: the server is not set up for anyone to read.
    """
    digest = hashlib.sha256()
    done = 0
    try:
        with (
            anonymous_client(pace) as client,
            opened(client, url, schemes=("https", "http"), redirects=0) as answer,
        ):
            # What it says it has is all that it may have: so much is waited for.
            for chunk in answer.pieces(_allowed(answer.size_bytes, most_bytes)):
                digest.update(chunk)
                done += len(chunk)
                progress("read back", done, answer.size_bytes)
    except NotFound as error:
        raise missing(url) from error
    return ReadBack(digest.hexdigest(), done)


def read_or_missing(url: str, facts: Callable[[], object], *, progress: Progress = silent) -> ReadBack:
    """Return what anyone reads at an object's URL, or say that there is none.

    A service does not say that to who may not list: an absent object is answered as a forbidden one.

    Args:
        url: of the object.
        facts: looks it up with the rights of the caller; None where there is none.
        progress: as `read_public` calls it.

    Raises:
        ObjectMissing: there is none, as far as the caller may know it.
        as `read_public` does.
    """
    try:
        return read_public(url, progress=progress)
    except UnexpectedAnswer as error:
        try:
            found = facts()
        except HyopsError:
            # The caller may not know it either: the answer stays what it was.
            found = error
        if found is None:
            raise missing(url) from error
        raise


def _allowed(announced: int | None, most_bytes: int) -> int:
    """Return how much is waited for: what was announced, and never more than may be there."""
    return most_bytes if announced is None else min(announced, most_bytes)
