"""What Google's libraries raise, as errors that say what to do, and without the secrets those carry.

The texts of their exceptions hold the URL of the request, and the URL of a resumable upload is a secret: who has
it may write to the object. So nothing of theirs is chained, and only the service's own sentence is quoted.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from google.api_core import exceptions
from google.auth import exceptions as auth
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.printable import one_line
from resources.answers import Untrusted
from resources.no_answer import why_unanswered
from resources.repository.base import RepositoryFailed

Result = TypeVar("Result")

_SESSION = re.compile(r"(upload_id=)[^&\s\"'\\)]+")
_TALKATIVE = ("google.api_core.retry", "google.auth.transport.requests", "urllib3.connectionpool")
"""Loggers that write the URLs, and one of them the headers, of requests at level DEBUG."""

_THEIRS = (
    exceptions.GoogleAPIError,
    auth.GoogleAuthError,
    requests.RequestException,
    DataCorruption,
    InvalidResponse,
)


class Unavailable(TransientError):
    """The service did not answer, or asked to come back later, for as long as we were willing to wait."""


class NotThere(HyopsError):
    """The service says that there is no such object, bucket or upload session."""


class NotPermitted(RepositoryFailed):
    """The credentials, or their absence, do not give the right to do this."""


class NotVisible(NotPermitted):
    """Neither the credentials nor an anonymous reader may know whether an object is there."""


class NotUnderstood(RepositoryFailed):
    """400: something in the request names nothing, or is none; only the service's sentence says which."""


class Taken(HyopsError):
    """What is there is not what was asked for: for a creation, the name is taken; else, it changed meanwhile."""


class SessionLost(TransientError):
    """A resumable upload cannot go on: the service forgot it, or holds less than it said."""


class Damaged(RepositoryFailed):
    """The service reports another checksum than the bytes that were sent have."""


def asked(purpose: str, work: Callable[[], Result]) -> Result:
    """Do a piece of work with Google's client and return its result.

    Args:
        purpose: what it is for, to end the sentence "could not …".
        work: calls the client.

    Raises:
        Unavailable: the service cannot be reached, or says 408, 429 or 5xx until the client gave up.
        Untrusted: its certificate does not verify.
        NotThere, NotPermitted, NotUnderstood, Taken, SessionLost, Damaged: as the service answered.
        RepositoryFailed: any other answer, and credentials that are not accepted.
    """
    try:
        with secrets_unlogged():
            return work()
    except _THEIRS as error:
        failure = _translated(purpose, error)
    # Outside of the handler: what is raised there keeps the library's exception, and the session in it.
    raise failure


@contextmanager
def secrets_unlogged() -> Iterator[None]:
    """Keep upload sessions and tokens out of what Google's and urllib3's loggers write while the block lasts."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    # One of its own per block: another thread's block may end first.
    blanking = _WithoutSecrets()
    for logger in loggers:
        logger.addFilter(blanking)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(blanking)


def worth_another_try(error: BaseException) -> bool:
    """Tell whether the same request may succeed a little later: for the client's own retry."""
    return isinstance(error, Exception) and isinstance(_translated("ask", error), Unavailable)


def _translated(purpose: str, error: Exception) -> HyopsError:
    inner = _inner(error)
    if inner is not None:
        return _translated(purpose, inner)
    if isinstance(error, DataCorruption):
        return Damaged(
            f"could not {purpose}: Google Cloud Storage reports another checksum than what was sent has",
            hint="nothing was removed; run again: bytes that differ are then refused, and need a revision",
        )
    if isinstance(error, InvalidResponse):
        return _refused(purpose, int(error.response.status_code), error.response)
    if isinstance(error, exceptions.GoogleAPICallError):
        return _refused(purpose, int(error.code or 0), error.response)
    if isinstance(error, requests.RequestException):
        return _unreachable(purpose, error)
    if isinstance(error, auth.GoogleAuthError):
        return _unauthenticated(purpose, error)
    return RepositoryFailed(f"could not {purpose}: {type(error).__name__}", hint="look at the service's status page")


def _inner(error: Exception) -> Exception | None:
    """Return the exception that another one only wraps."""
    if isinstance(error, exceptions.RetryError):
        return error.cause if isinstance(error.cause, Exception) else None
    if isinstance(error, auth.TransportError) and error.args and isinstance(error.args[0], Exception):
        return error.args[0]
    return None


def _unreachable(purpose: str, error: requests.RequestException) -> HyopsError:
    why = why_unanswered(error)
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in repr(error):
        return Untrusted(
            f"could not {purpose}: {why}", hint="for a private authority, set REQUESTS_CA_BUNDLE to a bundle with it"
        )
    return Unavailable(f"could not {purpose}: {why}", hint="check network and proxy, then try again")


def _unauthenticated(purpose: str, error: auth.GoogleAuthError) -> HyopsError:
    if isinstance(error, auth.InvalidOperation):
        # The library's way to say that a request without credentials was answered with 401.
        return NotPermitted(
            f"could not {purpose}: an anonymous reader may not", hint="let allUsers read the bucket's objects"
        )
    # The second argument is the token endpoint's answer, which is no secret but of no use either.
    said = _quoted(error.args[0]) if error.args else type(error).__name__
    return RepositoryFailed(
        f"could not {purpose}: Google does not accept the credentials: {said}",
        hint="check that the service account and its key exist (gcloud iam service-accounts keys list) and the clock",
    )


def _refused(purpose: str, status: int, response: Any) -> HyopsError:
    sentence = f"could not {purpose}: Google Cloud Storage answers {status}: {_sentence(response)}"
    if status == 308 or (status in (404, 410) and _in_session(response)):
        return SessionLost(sentence, hint="run again: the upload starts anew")
    if status in (404, 410):
        return NotThere(sentence, hint="check the names of bucket and object")
    if status in (401, 403):
        return NotPermitted(sentence, hint="give the credentials the right that the sentence names")
    if status in (409, 412):
        return Taken(sentence, hint="look at what is there")
    if status in (408, 429) or status >= 500:
        return Unavailable(sentence, hint="try again later")
    kind = NotUnderstood if status == 400 else RepositoryFailed
    return kind(sentence, hint="look at the bucket's settings; the sentence is the service's own")


def _in_session(response: Any) -> bool:
    request = getattr(response, "request", None)
    return "upload_id=" in str(getattr(request, "url", ""))


def _sentence(response: Any) -> str:
    """Return what the service says in an answer; nothing of the request."""
    try:
        said = parsed_json(getattr(response, "text", "") or "")["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = getattr(response, "reason", "") or "no explanation"
    return _quoted(said)


def _quoted(said: object) -> str:
    """Return what is not ours as an error of ours quotes it: one bounded line, without an upload's session."""
    return one_line(_blanked(str(said)))


def _blanked(text: str) -> str:
    return _SESSION.sub(r"\1…", text)


class _WithoutSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _blanked(record.getMessage())
        record.args = ()
        held: Any = getattr(record, "httpRequest", None)
        if isinstance(held, dict):
            # What else it holds are the headers, with the bearer token, and the body.
            record.httpRequest = {"method": held.get("method"), "url": _blanked(str(held.get("url", "")))}
        return True
