"""What can go wrong at Hetzner, as types: worth another try, or not."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from hcloud import APIException
from hcloud.actions.domain import ActionFailedException

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_assets.contract.printable import one_line
from resources.no_answer import why_unanswered
from resources.transience import HETZNER_CODES, stale_offer


class HetznerError(HyopsError):
    """The API refused a request, for good."""


class HetznerUnavailable(TransientError):
    """The API did not answer, or asks to be asked later."""


class RateLimited(HetznerUnavailable):
    """The project's requests of this hour are used up."""


class BadToken(HetznerError):
    """The token is not valid, or may only read."""


class LimitReached(HetznerError):
    """The account's or the project's limit: snapshots, servers, addresses."""


class NameTaken(HetznerError):
    """Something has this name already."""


class NotOffered(HetznerUnavailable):
    """A server type is not to be had in a location: sold out, or withdrawn since the offers were listed."""


class Locked(HetznerUnavailable):
    """An action is running on the resource."""


class Protected(HetznerError):
    """The resource is protected against deletion; a protected image also takes no labels."""


class NotFound(HetznerError):
    """There is no such thing (any more)."""


class ActionFailed(HetznerUnavailable):
    """An action ended in an error, or did not end.

    Attributes:
        code, said: how Hetzner words it; empty where it said nothing.
    """

    def __init__(self, message: str, *, hint: str, code: str = "", said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.said = said


class Occupied(HetznerError):
    """Something that is not ours has a name that a seed needs. It was left alone."""


class SeedBusy(TransientError):
    """Another run is seeding the same record here, now."""


class RescueNotReached(TransientError):
    """The server did not come up in its rescue system. Nothing was written to it."""


class NotRescue(RescueNotReached):
    """Somebody answers, and it is not the rescue system of our server, or does not prove it. Nothing was written."""


class SourceUnreachable(TransientError):
    """The rescue system could not fetch the raw.xz."""


class WrongSource(Refused):
    """What is at the URL is not the variant that the record promises."""


class WriteFailed(TransientError):
    """A program of the rescue system failed while the disk was written."""


class WrongCount(HyopsError):
    """The rescue system says to have written another number of bytes than the record's disk has."""


class ReadbackMismatch(HyopsError):
    """The disk, read back, is not the record's disk."""


class BrokenImage(HyopsError):
    """A snapshot that says it is ready, and is not."""


class MissingImage(HyopsError):
    """A snapshot that should be there is not."""


_LATER = "try again; the seed takes up what is there"
_BY_CODE: dict[str, tuple[type[HetznerError | HetznerUnavailable], str]] = {
    "unauthorized": (BadToken, "put a valid API token with read and write access into the site's token variable"),
    "token_readonly": (BadToken, "create an API token with read and write access"),
    "forbidden": (BadToken, "create an API token with read and write access for this project"),
    "resource_limit_exceeded": (LimitReached, "delete what is not needed, or ask Hetzner for a higher limit"),
    "uniqueness_error": (NameTaken, "find out who made it"),
    "locked": (Locked, _LATER),
    "protected": (Protected, "take its protection off in the Hetzner console, if nothing needs it"),
    "rate_limit_exceeded": (RateLimited, "try again later, and look who else uses the project's tokens"),
    "not_found": (NotFound, "look whether it was deleted in the Hetzner console"),
}
_OTHER_PLACES = "add locations to the site's settings, or try again later"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the library's errors into ours, with what was being done. Tokens stand in headers, never in messages.

    Raises:
        HetznerError: the request is refused.
        HetznerUnavailable: a later attempt may be answered otherwise.
    """
    try:
        yield
    except APIException as error:
        type_, hint = _type_of(error.code, str(error.message))
        raise type_(f"{doing}: Hetzner answers {one_line(f'{error.code}: {error.message}')}", hint=hint) from error
    except ActionFailedException as error:
        raise ActionFailed(f"{doing}: {one_line(str(error))}", hint=_LATER) from error
    except requests.RequestException as error:
        raise HetznerUnavailable(
            f"{doing}: no answer: {why_unanswered(error)}", hint="check network and proxy, then try again"
        ) from error


def of_new_server(error: ActionFailed) -> ActionFailed | NotOffered:
    """Return what a failed action on a server that is being made means: it may only not be to be had there."""
    if stale_offer(error.code, error.said):
        return NotOffered(error.message, hint=_OTHER_PLACES)
    return error


def _type_of(code: object, message: str) -> tuple[type[HetznerError | HetznerUnavailable], str]:
    if stale_offer(code, message):
        return NotOffered, _OTHER_PLACES
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    if code in HETZNER_CODES or (isinstance(code, int) and code >= 500):
        return HetznerUnavailable, _LATER
    return HetznerError, "read the answer; https://docs.hetzner.cloud lists the codes"


class NotThatSnapshot(Refused):
    """The snapshot that holds the record is not the one that was asked for. Nothing was changed."""
