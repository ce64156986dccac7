"""What a server answered to an exchange that has to end, and how slow that exchange may be.

What belongs here: the status, what of a header may be used, and the body at its pace, with the errors of a network in
our types. How a question is asked, and which redirects are walked, is in `public_http.py`.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

import httpcore

from hyops_assets.contract.errors import HyopsError, Refused, TransientError, said_by_system
from hyops_assets.contract.urls import Url
from resources.bounded_network import Moment
from resources.entity_tags import entity_tag

Cause = TypeVar("Cause", bound=BaseException)

BROKEN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
"""All that httpcore raises of a network."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST_HEADER = 8192
_MOST_DIGITS = 18


class Unreachable(TransientError):
    """No answer, half an answer, or one that says to come back later."""


class TooSlow(Unreachable):
    """The exchange took longer than it may, or sent less in a while than it has to."""


class Untrusted(HyopsError):
    """The server's certificate was not signed by an authority that we trust."""


class TooManyBytes(Refused):
    """A file is larger than its caller allows."""

    def __init__(self, where: str, most_bytes: int) -> None:
        super().__init__(f"{where} has more than {most_bytes} bytes", hint="see that it is what you meant")


@dataclass(frozen=True)
class Pace:
    """How slow an exchange may be.

    Attributes:
        answer_seconds: until the last answer's header is complete; names, connections and redirects included.
        silence_seconds: between two packets.
        bytes_per_second: that a body has to bring, by and large: what it falls behind is counted in seconds.
        behind_seconds: how far a body may fall behind, at its start and whenever it stalls.
        whole_seconds: for all of an exchange; None leaves it at what the rate makes of its size.
    """

    answer_seconds: float = 30.0
    silence_seconds: float = 30.0
    bytes_per_second: float = 64 << 10
    behind_seconds: float = 60.0
    whole_seconds: float | None = None

    @classmethod
    def within(cls, seconds: float) -> Self:
        """Return the pace of something small that has to be there within so many seconds, all in all."""
        return cls(seconds, seconds, behind_seconds=seconds, whole_seconds=seconds)

    def whole(self, most_bytes: int) -> float:
        """Return how long an exchange may take that brings so many bytes, in seconds."""
        by_rate = self.answer_seconds + self.behind_seconds + most_bytes / self.bytes_per_second
        return by_rate if self.whole_seconds is None else self.whole_seconds

    @property
    def described(self) -> str:
        """The limits in words."""
        if self.whole_seconds is not None:
            return f"{self.whole_seconds:g} s in all"
        rate = f"{self.bytes_per_second / 1024:g} KiB a second with at most {self.behind_seconds:g} s behind"
        return f"{self.answer_seconds:g} s to answer, then {rate}"


class Answer:
    """An answer: its status, what of its header may be used, and its body, to be read once.

    Attributes:
        status: of the last answer, after redirects.
        url: that gave it.
    """

    def __init__(self, response: httpcore.Response, url: Url, pace: Pace, moment: Moment, began: float) -> None:
        self.status = response.status
        self.url = url
        self._response = response
        self._pace = pace
        self._moment = moment
        self._began = began

    def header(self, name: str) -> str:
        """Return a header's value; empty where there is none, several, or one that is no printable ASCII."""
        wanted = name.lower().encode()
        found = [value for known, value in self._response.headers if known.lower() == wanted]
        text = found[0].decode("latin-1") if len(found) == 1 else ""
        return text if text.isascii() and text.isprintable() and len(text) <= _LONGEST_HEADER else ""

    def number(self, name: str) -> int | None:
        """Return a header's value as a number; None where it is none."""
        text = self.header(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None

    @property
    def etag(self) -> str | None:
        """The entity-tag, where it is one."""
        return entity_tag(self.header("ETag"))

    @property
    def size_bytes(self) -> int | None:
        """What the body is said to have."""
        return self.number("Content-Length")

    def pieces(self, most_bytes: int) -> Iterator[bytes]:
        """Yield the body as it arrives.

        The time that the caller takes between two pieces is its own.

        Args:
            most_bytes: what it may have.

        Raises:
            TooManyBytes: it has more.
            TooSlow: it falls behind its pace.
            Unreachable: it breaks off.
        """
        moment, pace = self._moment, self._pace
        if (self.size_bytes or 0) > most_bytes:
            raise TooManyBytes(self.url.shown, most_bytes)
        ends = self._began + pace.whole(most_bytes)
        credit, done = pace.behind_seconds, 0
        stream = iter(self._response.iter_stream())
        while True:
            asked = time.monotonic()
            moment.ends = min(ends, asked + credit)
            with transport_errors(self.url, moment, pace):
                piece = next(stream, None)
            if piece is None:
                return
            done += len(piece)
            if done > most_bytes:
                raise TooManyBytes(self.url.shown, most_bytes)
            credit += len(piece) / pace.bytes_per_second - (time.monotonic() - asked)
            credit = min(credit, pace.behind_seconds)
            yield piece

    def read(self, most_bytes: int) -> bytes:
        """Return the whole body; raises as `pieces` does."""
        return b"".join(self.pieces(most_bytes))


@contextmanager
def transport_errors(url: Url, moment: Moment, pace: Pace) -> Iterator[None]:
    """Raise what httpcore says of a network as TooSlow, Untrusted or Unreachable."""
    try:
        yield
    except BROKEN as error:
        if (refused := _beneath(error, ssl.SSLCertVerificationError)) is not None:
            raise Untrusted(
                f"{url.shown}: its certificate is not trusted: {refused.verify_message}",
                hint=f"for a private authority, set SSL_CERT_FILE to a bundle with it{_of_the_lab(url)}",
            ) from error
        if isinstance(error, httpcore.TimeoutException) and moment.passed:
            raise TooSlow(
                f"{url.shown} takes longer than it may: {pace.described}",
                hint="try again later, or use another source",
            ) from error
        why = said_by_system(_beneath(error, OSError) or error)
        hint = f"check network and proxy, then try again{_of_the_lab(url)}"
        raise Unreachable(f"{url.shown}: {why}", hint=hint) from error


def _of_the_lab(url: Url) -> str:
    """Return what leads to an address that only the lab has; empty for another's."""
    return '; where it is the lab\'s: hyops lab up, then eval "$(hyops lab env)"' if url.host in _LOOPBACK else ""


def _beneath(error: BaseException | None, kind: type[Cause]) -> Cause | None:
    """Return the first error of a kind in a chain: a library's own wraps what the system said."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
