"""A tiny object of known content by which a repository proves itself: created once, then read anonymously.

To create it takes the same right as to create a record, and to read it the same public URL. So this finds a missing
bucket, a missing right, prevented public access and a wrong `public_base_url` alike, with no right beyond those that
publishing needs: no listing, no policy, no bucket's settings.
"""

from collections.abc import Callable

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.urls import PREFIX
from hyops_assets.image.digests import sha256_of_bytes
from resources.answers import TooManyBytes
from resources.public_http import UnexpectedAnswer
from resources.repository.anonymous import read_public
from resources.repository.base import NotPublic, ObjectConflict, ObjectFacts, ObjectMissing

MARKER_NAMES = tuple(f"{PREFIX}/public-read-check-{number}.txt" for number in range(1, 6))
"""Tried in this order: a name that other bytes have is passed over, since nothing here is ever replaced."""
MARKER_NAME = MARKER_NAMES[0]
MARKER = b"Objects here are created once, never replaced, and readable by anyone.\n"
MARKER_SHA256 = sha256_of_bytes(MARKER)
MARKER_TYPE = "text/plain"
_MOST_BYTES = 16 << 10
"""What is read of whatever stands in its place."""


class MarkerNamesTaken(HyopsError):
    """Every name that the marker may have is taken by other bytes."""


def place_marker(create: Callable[[str], object]) -> str:
    """Create the marker, or find it, under the first name that other bytes do not have; return that name.

    Args:
        create: creates it under a name; raises ObjectConflict where that has other bytes.

    Raises:
        MarkerNamesTaken: all of them have.
    """
    for name in MARKER_NAMES:
        try:
            create(name)
        except ObjectConflict:
            continue
        return name
    raise MarkerNamesTaken(
        f"all of {MARKER_NAMES[0]} to {MARKER_NAMES[-1].rpartition('/')[2]} are taken by bytes that are none of ours: "
        "it cannot be proven that anyone can read what is published",
        hint="find out who writes into this repository, and remove one of these objects; no revision helps",
    )


def find_marker(head: Callable[[str], ObjectFacts | None]) -> str | None:
    """Return the name under which the marker stands, as far as a look at its facts tells; None where it does not."""
    for name in MARKER_NAMES:
        found = head(name)
        if found is None:
            return None
        # What no creator noted a digest of is judged by its size; a reader sees its bytes.
        if found.sha256 == MARKER_SHA256 or (found.sha256 is None and found.size_bytes == len(MARKER)):
            return name
    return None


def require_marker(url: str, *, hint: str = "let anyone read it") -> None:
    """Read the marker as an anonymous reader does.

    Args:
        url: where it should be.
        hint: what makes the repository public.

    Raises:
        NotPublic: it is not there for anonymous readers, or something else is.
        TransientError: it could not be read now.
    """
    try:
        found = read_public(url, most_bytes=_MOST_BYTES)
    except (ObjectMissing, UnexpectedAnswer, TooManyBytes) as error:
        raise NotPublic(f"anonymous readers cannot read what is published: {error.message}", hint=hint) from error
    if found.sha256 != MARKER_SHA256:
        raise NotPublic(f"{url} answers {found.size_bytes} bytes that were not published there", hint=hint)
