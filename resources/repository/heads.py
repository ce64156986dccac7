"""What an anonymous reader learns of a published object without reading its bytes."""

from dataclasses import dataclass

from hyops_assets.contract.urls import local_file
from resources.public_http import NotFound, anonymous_client, opened
from resources.repository.base import missing

_VALIDATORS = ("ETag", "x-goog-generation", "x-goog-hash", "Last-Modified")


@dataclass(frozen=True)
class Head:
    """What stands under a URL.

    Attributes:
        size_bytes: None where the server does not say.
        validator: changes whenever the bytes do, as far as the server says: ETag, generation, CRC.
    """

    size_bytes: int | None
    validator: str


def head_published(url: str) -> Head:
    """Ask for an object's head, without credentials and without a redirect; a file's is its size and time of change.

    Raises:
        ObjectMissing: there is none.
        TransientError: it could not be asked for now.
        Refused, Untrusted, UnexpectedAnswer: it is not public any more.
    """
    if (path := local_file(url)) is not None:
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise missing(url) from error
        return Head(found.st_size, f"{found.st_ino} {found.st_mtime_ns}")
    try:
        with (
            anonymous_client() as client,
            opened(client, url, schemes=("https", "http"), redirects=0, method="HEAD") as answer,
        ):
            stored = answer.number("x-goog-stored-content-length")
            said = [f"{name}={value}" for name in _VALIDATORS if (value := answer.header(name))]
            return Head(answer.size_bytes if stored is None else stored, " ".join(said))
    except NotFound as error:
        raise missing(url) from error
