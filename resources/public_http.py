"""HTTP as anyone does it: no credentials, no redirect that was not allowed, the bytes as they are, and an end.

What belongs here: the rules every anonymous read shares, and errors that tell "absent" from "unreachable" from
"not allowed". Each exchange has one end for all of it (connection, redirects, headers, body) and a rate below which
its body may not fall; both hold whatever the server does. Proxies and private authorities come from the environment
(`HTTPS_PROXY`, `SSL_CERT_FILE`). What is read, or posted, and why is the caller's.
"""

import functools
import os
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Self

import certifi
import httpcore

from hyops_assets.contract.errors import HyopsError, Refused, said_by_system
from hyops_assets.contract.urls import BadUrl, Url
from resources.answers import BROKEN, Answer, Pace, Unreachable, Untrusted, transport_errors
from resources.bounded_network import BoundedNetwork, Moment
from resources.proxies import proxy_for
from resources.secrets import require_proxies

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
"""Besides 5xx: answers that a later attempt may not get."""

Method = Literal["GET", "HEAD", "POST"]


class NotFound(HyopsError):
    """The server answers, and says that there is no such thing."""


class NotAllowed(Refused):
    """A URL, or a redirect, outside of what was allowed."""


class UnexpectedAnswer(HyopsError):
    """The server answers with a status or an encoding that the caller has no use for."""


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
                self._trust = _authorities()
            except OSError as error:
                raise Untrusted(
                    f"the authorities to trust cannot be read: {said_by_system(error)}",
                    hint="mend or unset SSL_CERT_FILE",
                ) from error
        return self._trust


def _authorities() -> ssl.SSLContext:
    """Return what the environment trusts, in place of the authorities that programs know by themselves.

    Raises:
        OSError: it names a file or a directory that cannot be read.
    """
    directory = os.environ.get("SSL_CERT_DIR")
    bundle = os.environ.get("SSL_CERT_FILE")
    if directory and not bundle:
        return ssl.create_default_context(capath=directory)
    file = Path(bundle or certifi.where())
    written = file.stat()
    return _authorities_in(file, written.st_ino, written.st_size, written.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _authorities_in(bundle: Path, _inode: int, _bytes: int, _written: int) -> ssl.SSLContext:
    """Read a bundle, which takes as long as an exchange with a near server, again where it was written again."""
    return ssl.create_default_context(cafile=bundle)


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
        content: the body of a POST; what a POST is answered with may be encoded, and is not to be read.
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
            with transport_errors(target, client.moment, pace):
                response = client.send(method, target, headers or {}, content, silence_seconds=pace.silence_seconds)
            try:
                if response.status in ok or response.status not in _REDIRECTS:
                    answer = Answer(response, target, pace, client.moment, began)
                    _require_status(answer, ok)
                    if method != "POST":
                        _require_plain(answer)
                    yield answer
                    return
                if left == 0:
                    break
                target = _next(target, response)
                _require_allowed(target, allowed, schemes)
            finally:
                # A connection that broke may complain again; it is gone either way.
                with suppress(*BROKEN):
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


def _require_status(answer: Answer, ok: Collection[int]) -> None:
    where, status = answer.url.shown, answer.status
    if status not in ok:
        if status in (404, 410):
            raise NotFound(f"{where} answers {status}: there is no such thing", hint="check the URL")
        if status in _PASSING or status >= 500:
            raise Unreachable(f"{where} answers {status}", hint="try again later")
        hint = "check that anyone may read it without credentials"
        raise UnexpectedAnswer(f"{where} answers {status}", hint=hint)


def _require_plain(answer: Answer) -> None:
    encoding = answer.header("Content-Encoding") or "identity"
    if encoding != "identity":
        raise UnexpectedAnswer(
            f"{answer.url.shown} encodes its answer as {encoding[:80]}", hint="serve the bytes as they are"
        )


def _ascii(text: str) -> bytes:
    """Return a part of a request's header as bytes. What was stored may be foreign: it is checked again here."""
    if not (text.isascii() and text.isprintable()):
        raise Refused(
            f"a request's header would hold {text[:80]!a}", hint="report it: what was stored was not checked"
        )
    return text.encode("ascii")
