"""An object as a stranger reads it: every byte from its public URL, no credentials, no redirect."""

import hashlib

from hyops_assets.contract.progress import Progress, silent
from resources.public_http import NotFound, anonymous_client, host_of, opened
from resources.repository.base import ObjectRepository, ReadBack, missing


def read_published(url: str, repository: ObjectRepository, *, progress: Progress = silent) -> ReadBack:
    """Return what a stranger reads at a URL of a contract, whoever published it: this repository, a command, others.

    Raises:
        as `read_public` and the repository do; a file's URL is the repository's own or refused.
    """
    if url.startswith("file:"):
        return repository.read_anonymous(url, progress=progress)
    return read_public(url, progress=progress)


def read_public(url: str, *, progress: Progress = silent) -> ReadBack:
    """Return digest and size of the bytes behind a URL.

    Raises:
        ObjectMissing: there are none.
        Refused: the URL answers with a redirect.
        TransientError: it could not be read now.
        Untrusted, UnexpectedAnswer: the server is not set up for strangers.
    """
    digest = hashlib.sha256()
    done = 0
    try:
        with (
            anonymous_client() as client,
            opened(client, url, hosts={host_of(url)}, schemes=("https", "http"), redirects=0) as answer,
        ):
            length = answer.headers.get("Content-Length")
            for chunk in answer.iter_raw():
                digest.update(chunk)
                done += len(chunk)
                progress("read back", done, int(length) if length else None)
    except NotFound as error:
        raise missing(url) from error
    return ReadBack(digest.hexdigest(), done)
