"""A tiny object of known content by which a repository proves itself: created once, then read as a stranger reads.

To create it takes the same right as to create a record, and to read it the same public URL. So this finds a missing
bucket, a missing right, prevented public access and a wrong `public_base_url` alike, with no right beyond those that
publishing needs: no listing, no policy, no bucket's settings.
"""

from hyops_assets.contract.urls import PREFIX
from hyops_assets.image.digests import sha256_of_bytes
from resources.public_http import UnexpectedAnswer
from resources.repository.anonymous import read_public
from resources.repository.base import NotPublic, ObjectMissing

MARKER_NAME = f"{PREFIX}/public-read-check-1.txt"
MARKER = b"Objects here are created once, never replaced, and readable by anyone.\n"
MARKER_SHA256 = sha256_of_bytes(MARKER)
MARKER_TYPE = "text/plain"


def require_marker(url: str, *, hint: str = "let anyone read it") -> None:
    """Read the marker as a stranger does.

    Args:
        url: where it should be.
        hint: what makes the repository public.

    Raises:
        NotPublic: it is not there for strangers, or something else is.
        TransientError: it could not be read now.
    """
    try:
        found = read_public(url)
    except (ObjectMissing, UnexpectedAnswer) as error:
        raise NotPublic(f"strangers cannot read what is published: {error.message}", hint=hint) from error
    if found.sha256 != MARKER_SHA256:
        raise NotPublic(f"{url} answers {found.size_bytes} bytes that were not published there", hint=hint)
