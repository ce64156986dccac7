"""Which requests reach Dagster's application: a pure decision over one request's method, path and headers.

A page of another site, another user of this host and a name that was rebound to loopback all reach the port. What
tells the operator's own browser from them: the cookie that only a link of ours sets, a Host that is ours, and the
headers with which browsers say where a request comes from (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/;
Origin, RFC 6454). Dagster itself looks at none of them, and takes GraphQL as a form, as text and in a URL.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from hyops_assets.ui.links import ENTRANCE

GRAPHQL = "/graphql"
_READING = frozenset({"GET", "HEAD"})
_NAMED = re.compile(r"(?:op=\w{0,100})?", re.ASCII)
"""The page names its operation in the URL, for people who read requests; nothing else may stand there."""


@dataclass(frozen=True)
class UiRequest:
    """One request, as the server parsed it. Header names are lower case; a name may stand more than once."""

    kind: Literal["http", "websocket"]
    method: str
    path: str
    query: str
    headers: Collection[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """Return a header's value; None where it is absent, or there more than once and so ambiguous."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None

    def count(self, name: str) -> int:
        """Return how often a header stands in the request."""
        return sum(key == name for key, _ in self.headers)

    def cookies(self, name: str) -> list[str]:
        """Return every value that the request has for a cookie."""
        pairs = (pair.strip().partition("=") for value in self.headers_of("cookie") for pair in value.split(";"))
        return [value for key, _, value in pairs if key == name]

    def headers_of(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True)
class Refused:
    """A request that does not reach Dagster: the status, and one line for a person."""

    status: HTTPStatus
    why: str


@dataclass(frozen=True)
class Rules:
    """What a UI at one address serves.

    Args:
        port: where it listens on loopback.
        cookie: the name of its session cookie.
        knows: tells whether a cookie's value belongs to a session.
        read_only: nothing but GraphQL may be posted, which Dagster then holds to what reads.
    """

    port: int
    cookie: str
    knows: Callable[[str], bool]
    read_only: bool = False

    @property
    def hosts(self) -> frozenset[str]:
        """The values of Host that are ours."""
        names = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        return frozenset(names | ({"127.0.0.1", "localhost"} if self.port == 80 else set()))

    def refusal(self, asked: UiRequest) -> Refused | None:
        """Return why a request is refused; None where it may go on."""
        for rule in (self._wrong_host, self._wrong_origin, self._no_session, self._wrong_use):
            if (refused := rule(asked)) is not None:
                return refused
        return None

    def _wrong_host(self, asked: UiRequest) -> Refused | None:
        if asked.header("host") in self.hosts:
            return None
        return Refused(HTTPStatus.MISDIRECTED_REQUEST, "this UI is served under 127.0.0.1 and localhost only")

    def _wrong_origin(self, asked: UiRequest) -> Refused | None:
        """Refuse what a page of another origin sends. A client that is no browser sends neither header."""
        forbidden = Refused(HTTPStatus.FORBIDDEN, "a page of another origin asked for this")
        if asked.count("origin") and asked.header("origin") not in {f"http://{host}" for host in self.hosts}:
            return forbidden
        if not asked.count("sec-fetch-site"):
            return None
        site = asked.header("sec-fetch-site")
        if site == "same-origin":
            return None
        navigates = asked.kind == "http" and asked.method == "GET" and asked.header("sec-fetch-mode") == "navigate"
        # A link that a person opened: from a terminal (none) or, for the entrance alone, from a page or a file.
        if navigates and asked.header("sec-fetch-dest") == "document" and (site == "none" or asked.path == ENTRANCE):
            return None
        return forbidden

    def _no_session(self, asked: UiRequest) -> Refused | None:
        if asked.path == ENTRANCE or any(self.knows(value) for value in asked.cookies(self.cookie)):
            return None
        return Refused(HTTPStatus.UNAUTHORIZED, "open this UI by the link that `hyops open` prints")

    def _wrong_use(self, asked: UiRequest) -> Refused | None:
        if asked.kind == "websocket":
            return None if asked.path == GRAPHQL else Refused(HTTPStatus.NOT_FOUND, "no websocket is served here")
        if asked.path == GRAPHQL:
            if asked.method != "POST":
                return Refused(HTTPStatus.METHOD_NOT_ALLOWED, "GraphQL is taken by POST, as JSON")
        elif asked.method not in _READING and (asked.method != "POST" or self.read_only or asked.path == ENTRANCE):
            return Refused(HTTPStatus.METHOD_NOT_ALLOWED, "this UI takes no such request")
        if asked.method == "POST" and not (_NAMED.fullmatch(asked.query) and _is_json(asked.header("content-type"))):
            return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "what is posted is taken as application/json only")
        return None


def _is_json(content_type: str | None) -> bool:
    """Tell whether a media type is application/json itself: a form may claim it as a parameter."""
    kind, _, parameters = (content_type or "").partition(";")
    return kind.strip().lower() == "application/json" and parameters.strip().lower() in ("", "charset=utf-8")


ANSWER_HEADERS: Mapping[str, str] = {
    "x-frame-options": "DENY",
    "content-security-policy": "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Added to every answer: nothing of the UI is framed, embedded or read by another origin."""
