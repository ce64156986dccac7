"""HTTP as anyone does it: no credentials, no redirect that was not allowed, the bytes as they are, and an end.

What belongs here: the rules every anonymous read shares, and errors that tell "absent" from "unreachable" from
"not allowed". Each exchange has one end for all of it (connection, redirects, headers, body) and a rate below which
its body may not fall; both hold whatever the server does. Proxies and private authorities come from the environment
(`HTTPS_PROXY`, `SSL_CERT_FILE`). What is read and why is the caller's.
"""

import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Self

import httpcore
import httpx

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_assets.contract.urls import BadUrl, Url
from resources.bounded_network import BoundedNetwork, Moment
from resources.entity_tags import entity_tag
from resources.proxies import proxy_for
from resources.secrets import require_proxies

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
"""Besides 5xx: answers that a later attempt may not get."""
_BROKEN = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_LONGEST_HEADER = 8192
_MOST_DIGITS = 18

Method = Literal["GET", "HEAD", "POST"]


class Unreachable(TransientError):
    """No answer, half an answer, or one that says to come back later."""


class TooSlow(Unreachable):
    """The exchange took longer than it may, or sent less in a while than it has to."""


class Untrusted(HyopsError):
    """The server's certificate was not signed by an authority that we trust."""


class NotFound(HyopsError):
    """The server answers, and says that there is no such thing."""


class NotAllowed(Refused):
    """A URL, or a redirect, outside of what was allowed."""


class UnexpectedAnswer(HyopsError):
    """The server answers with a status or an encoding that the caller has no use for."""


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


class AnonymousClient:
    """Connections that carry no credentials; a context manager. For one exchange at a time."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.moment = Moment()
        self._pools: dict[tuple[str, bool], httpcore.ConnectionPool] = {}
        self._trust: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def send(
        self, method: Method, url: Url, headers: Mapping[str, str], content: bytes, *, silence_seconds: float
    ) -> httpcore.Response:
        """Return the answer to one request, its body unread.

        Raises:
            httpcore's errors: no answer.
            BadProxy, Untrusted: the environment names no usable proxy, or no usable authorities.
        """
        limits = dict.fromkeys(("connect", "read", "write", "pool"), silence_seconds)
        sent = {"Host": url.authority, "Accept-Encoding": "identity", "User-Agent": "hyops-assets", **headers}
        if content:
            sent["Content-Length"] = str(len(content))
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=[(_ascii(name), _ascii(value)) for name, value in sent.items()],
            content=content or None,
            extensions={"timeout": limits},
        )
        return self._pool(url).handle_request(request)

    def _pool(self, url: Url) -> httpcore.ConnectionPool:
        proxy = proxy_for(url)
        secure = url.scheme == "https"
        key = (proxy.url if proxy else "", secure)
        if key not in self._pools:
            network = BoundedNetwork(self.moment)
            trust = self._authorities() if secure else None
            self._pools[key] = (
                httpcore.HTTPProxy(
                    proxy.url,
                    proxy_auth=proxy.auth,
                    ssl_context=trust,
                    proxy_ssl_context=self._authorities() if proxy.url.startswith("https:") else None,
                    network_backend=network,
                )
                if proxy
                else httpcore.ConnectionPool(ssl_context=trust, network_backend=network)
            )
        return self._pools[key]

    def _authorities(self) -> ssl.SSLContext:
        if self._trust is None:
            try:
                self._trust = httpx.create_ssl_context()
            except OSError as error:
                raise Untrusted(
                    f"the authorities to trust cannot be read: {error}", hint="mend or unset SSL_CERT_FILE"
                ) from error
        return self._trust


class Answer:
    """An answer: its status, what of its header may be used, and its body, to be read once.

    Attributes:
        status: of the last answer, after redirects.
        url: that gave it.
    """

    def __init__(
        self, client: AnonymousClient, response: httpcore.Response, url: Url, pace: Pace, began: float
    ) -> None:
        self.status = response.status
        self.url = url
        self._client = client
        self._response = response
        self._pace = pace
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
        moment, pace = self._client.moment, self._pace
        if (self.size_bytes or 0) > most_bytes:
            raise TooManyBytes(self.url.shown, most_bytes)
        ends = self._began + pace.whole(most_bytes)
        credit, done = pace.behind_seconds, 0
        stream = iter(self._response.iter_stream())
        while True:
            asked = time.monotonic()
            moment.ends = min(ends, asked + credit)
            with _transport_errors(self.url, moment, pace):
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


def anonymous_client(pace: Pace | None = None) -> AnonymousClient:
    """Return a client that carries no credentials and follows no redirect by itself.

    Args:
        pace: how slow its exchanges may be.

    Raises:
        UnusableSecret: a proxy's variable holds no URL of a proxy.
    """
    require_proxies()
    return AnonymousClient(pace or Pace())


@contextmanager
def opened(
    client: AnonymousClient,
    url: str | Url,
    *,
    hosts: Collection[str] | None = None,
    headers: Mapping[str, str] | None = None,
    ok: Collection[int] = (200,),
    schemes: Collection[str] = ("https",),
    redirects: int = MAX_REDIRECTS,
    method: Method = "GET",
    content: bytes = b"",
    pace: Pace | None = None,
) -> Iterator[Answer]:
    """Send a request and yield the answer with its body unread, for as long as the block lasts.

    Args:
        client: from `anonymous_client`.
        url: where to ask.
        hosts: host names, or `host:port`, that may be asked (`Url.is_at`); every redirect is held to them as well.
            None: the URL's own.
        headers: added to the client's.
        ok: statuses that the caller wants to see.
        schemes: schemes that may be asked.
        redirects: how many to walk; 0 refuses the first one.
        method: HEAD asks what is there, without its bytes.
        content: the body of a POST.
        pace: how slow this exchange may be; the client's where None.

    Raises:
        NotAllowed: the URL or a redirect leads outside of `hosts` and `schemes`, or there are too many redirects.
        NotFound: 404 or 410.
        Unreachable: no connection, a broken transfer (also while the block reads), 408, 425, 429 or 5xx.
        TooSlow: the answer takes longer than its pace lets it.
        Untrusted: the certificate does not verify.
        UnexpectedAnswer: any other status, or an encoded body.
        BadProxy: the environment names a proxy that is none.
    """
    pace = pace or client.pace
    target = _parsed(url, schemes)
    allowed = target.own if hosts is None else hosts
    _require_allowed(target, allowed, schemes)
    began = time.monotonic()
    client.moment.ends = began + min(pace.answer_seconds, pace.whole(0))
    try:
        for left in range(redirects, -1, -1):
            with _transport_errors(target, client.moment, pace):
                response = client.send(method, target, headers or {}, content, silence_seconds=pace.silence_seconds)
            try:
                if response.status in ok or response.status not in _REDIRECTS:
                    answer = Answer(client, response, target, pace, began)
                    _require_useful(answer, ok)
                    yield answer
                    return
                if left == 0:
                    break
                target = _next(target, response)
                _require_allowed(target, allowed, schemes)
            finally:
                # A connection that broke may complain again; it is gone either way.
                with suppress(*_BROKEN):
                    response.close()
    finally:
        client.moment.ends = 0.0
    limit = f"more than {redirects} redirects" if redirects else "a redirect"
    raise NotAllowed(f"{shown(url)} answers with {limit}", hint="use the URL that serves the bytes itself")


def shown(url: str | Url) -> str:
    """Return a URL for messages: without credentials, query and fragment, where secrets travel."""
    try:
        return (url if isinstance(url, Url) else Url.parse(url, schemes=("https", "http"))).shown
    except BadUrl:
        return "(not a URL)"


def _parsed(url: str | Url, schemes: Collection[str]) -> Url:
    if isinstance(url, Url):
        return url
    try:
        return Url.parse(url, schemes=schemes)
    except BadUrl as error:
        raise NotAllowed(error.message, hint=error.hint) from error


def _require_allowed(url: Url, hosts: Collection[str], schemes: Collection[str]) -> None:
    if url.scheme not in schemes:
        raise NotAllowed(f"{url.shown}: the scheme is not {' or '.join(schemes)}", hint="use an https URL")
    if not url.is_at(hosts):
        raise NotAllowed(
            f"{url.shown}: the host is none of {', '.join(sorted(hosts)) or 'the allowed ones'}",
            hint="if you trust this host, add it to feed.iso_hosts or feed.stream_iso_hosts in config/pipeline.yml",
        )


def _next(url: Url, response: httpcore.Response) -> Url:
    locations = [value for name, value in response.headers if name.lower() == b"location"]
    if not locations:
        raise UnexpectedAnswer(
            f"{url.shown} answers {response.status} and leads nowhere", hint="use the URL that serves the bytes"
        )
    try:
        return url.joined(locations[0].decode("latin-1"))
    except BadUrl as error:
        raise NotAllowed(
            f"{url.shown} redirects to what is not allowed: {error.message}", hint="use the URL that serves the bytes"
        ) from error


def _require_useful(answer: Answer, ok: Collection[int]) -> None:
    where, status = answer.url.shown, answer.status
    if status not in ok:
        if status in (404, 410):
            raise NotFound(f"{where} answers {status}: there is no such thing", hint="check the URL")
        if status in _PASSING or status >= 500:
            raise Unreachable(f"{where} answers {status}", hint="try again later")
        hint = "check that anyone may read it without credentials"
        raise UnexpectedAnswer(f"{where} answers {status}", hint=hint)
    encoding = answer.header("Content-Encoding") or "identity"
    if encoding != "identity":
        raise UnexpectedAnswer(f"{where} encodes its answer as {encoding[:80]}", hint="serve the bytes as they are")


def _ascii(text: str) -> bytes:
    """Return a part of a request's header as bytes. What was stored may be foreign: it is checked again here."""
    if not (text.isascii() and text.isprintable()):
        raise Refused(
            f"a request's header would hold {text[:80]!a}", hint="report it: what was stored was not checked"
        )
    return text.encode("ascii")


@contextmanager
def _transport_errors(url: Url, moment: Moment, pace: Pace) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        if _certificate_error(error):
            raise Untrusted(
                f"{url.shown}: {error}", hint="for a private authority, set SSL_CERT_FILE to a bundle with it"
            ) from error
        if isinstance(error, httpcore.TimeoutException) and moment.passed:
            raise TooSlow(
                f"{url.shown} takes longer than it may: {pace.answer_seconds:g} s to answer, then "
                f"{pace.bytes_per_second / 1024:g} KiB a second with at most {pace.behind_seconds:g} s behind",
                hint="try again later, or use another source",
            ) from error
        why = str(error) or type(error).__name__
        raise Unreachable(f"{url.shown}: {why}", hint="check network and proxy, then try again") from error


def _certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
