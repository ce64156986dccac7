"""HTTP as a stranger does it: no credentials, no redirect that was not allowed, the bytes as they are.

What belongs here: the rules every anonymous read shares, and errors that tell "absent" from "unreachable" from
"not allowed". Proxies and private authorities come from the environment (`HTTPS_PROXY`, `SSL_CERT_FILE`). What is
read and why is the caller's.
"""

import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import httpx

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from resources.secrets import require_proxies

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
"""Besides 5xx: answers that a later attempt may not get."""


class Unreachable(TransientError):
    """No answer, half an answer, or one that says to come back later."""


class Untrusted(HyopsError):
    """The server's certificate was not signed by an authority that we trust."""


class NotFound(HyopsError):
    """The server answers, and says that there is no such thing."""


class NotAllowed(Refused):
    """A URL, or a redirect, outside of what was allowed."""


class UnexpectedAnswer(HyopsError):
    """The server answers with a status or an encoding that the caller has no use for."""


def anonymous_client(timeout_seconds: float = 30.0) -> httpx.Client:
    """Return a client that carries no credentials and follows no redirect by itself.

    Args:
        timeout_seconds: for the connection, and for each read; a slow transfer that goes on is no timeout.

    Raises:
        UnusableSecret: a proxy's variable holds no URL of a proxy.
    """
    require_proxies()
    headers = {"Accept-Encoding": "identity", "User-Agent": "hyops-assets"}
    return httpx.Client(headers=headers, timeout=timeout_seconds, follow_redirects=False)


def host_of(url: str) -> str:
    """Return a URL's host name, for an allow-list; empty where it has none."""
    try:
        return httpx.URL(url).host
    except httpx.InvalidURL:
        return ""


@contextmanager
def opened(
    client: httpx.Client,
    url: str,
    *,
    hosts: Collection[str],
    headers: Mapping[str, str] | None = None,
    ok: Collection[int] = (200,),
    schemes: Collection[str] = ("https",),
    redirects: int = MAX_REDIRECTS,
    method: Literal["GET", "HEAD"] = "GET",
) -> Iterator[httpx.Response]:
    """Send a request and yield the answer with its body unread, for as long as the block lasts.

    Args:
        client: from `anonymous_client`.
        url: where to ask.
        hosts: host names, or `host:port`, that may be asked; every redirect is held to them as well.
        headers: added to the client's.
        ok: statuses that the caller wants to see.
        schemes: schemes that may be asked.
        redirects: how many to walk; 0 refuses the first one.
        method: HEAD asks what is there, without its bytes.

    Raises:
        NotAllowed: the URL or a redirect leads outside of `hosts` and `schemes`, or there are too many redirects.
        NotFound: 404 or 410.
        Unreachable: no connection, a broken transfer (also while the block reads), 408, 425, 429 or 5xx.
        Untrusted: the certificate does not verify.
        UnexpectedAnswer: any other status, or an encoded body.
    """
    target = _allowed(url, hosts, schemes)
    for left in range(redirects, -1, -1):
        request = client.build_request(method, target, headers=dict(headers or {}))
        with _transport_errors(target):
            response = client.send(request, stream=True)
            try:
                if response.status_code not in _REDIRECTS:
                    _require_useful(response, ok)
                    yield response
                    return
                if left == 0:
                    break
                target = _allowed(_next(target, response), hosts, schemes)
            finally:
                response.close()
    limit = f"more than {redirects} redirects" if redirects else "a redirect"
    raise NotAllowed(f"{shown(url)} answers with {limit}", hint="use the URL that serves the bytes itself")


def shown(url: str | httpx.URL) -> str:
    """Return a URL for messages: without credentials, query and fragment, where secrets travel."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "(not a URL)"
    return str(parsed.copy_with(userinfo=b"", query=None, fragment=None))


def _allowed(url: str, hosts: Collection[str], schemes: Collection[str]) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise NotAllowed(f"{url[:200]!r} is not a URL: {error}", hint="write a plain https URL") from error
    if parsed.scheme not in schemes:
        raise NotAllowed(f"{shown(parsed)}: the scheme is not {' or '.join(schemes)}", hint="use an https URL")
    if parsed.userinfo:
        raise NotAllowed(f"{shown(parsed)} carries credentials", hint="use a URL that anyone may read")
    if parsed.host not in hosts and f"{parsed.host}:{parsed.port}" not in hosts:
        raise NotAllowed(
            f"{shown(parsed)}: the host is none of {', '.join(sorted(hosts)) or 'the allowed ones'}",
            hint="if you trust this host, add it to feed.iso_hosts or feed.stream_iso_hosts in config/pipeline.yml",
        )
    return parsed


def _next(url: httpx.URL, response: httpx.Response) -> str:
    try:
        return str(url.join(response.headers["Location"]))
    except (KeyError, httpx.InvalidURL) as error:
        raise UnexpectedAnswer(
            f"{shown(url)} answers {response.status_code} and leads nowhere", hint="use the URL that serves the bytes"
        ) from error


def _require_useful(response: httpx.Response, ok: Collection[int]) -> None:
    where, status = shown(response.request.url), response.status_code
    if status in (404, 410):
        raise NotFound(f"{where} answers {status}: there is no such thing", hint="check the URL")
    if status in _PASSING or status >= 500:
        raise Unreachable(f"{where} answers {status}", hint="try again later")
    if status not in ok:
        raise UnexpectedAnswer(f"{where} answers {status}", hint="check that anyone may read it without credentials")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnexpectedAnswer(f"{where} encodes its answer as {encoding}", hint="serve the bytes as they are")


@contextmanager
def _transport_errors(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        if _certificate_error(error):
            raise Untrusted(
                f"{shown(url)}: {error}", hint="for a private authority, set SSL_CERT_FILE to a bundle with it"
            ) from error
        why = str(error) or type(error).__name__
        raise Unreachable(f"{shown(url)}: {why}", hint="check network and proxy, then try again") from error


def _certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
