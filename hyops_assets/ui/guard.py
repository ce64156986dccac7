"""The guard around Dagster's application (ASGI, https://asgi.readthedocs.io/en/latest/specs/www.html)."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from hyops_assets.ui.links import ENTRANCE, Entrance
from hyops_assets.ui.rules import ANSWER_HEADERS, Refused, Rules, UiRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_POLICY_VIOLATION = 1008
_GO_ON = b'<!doctype html><meta http-equiv="refresh" content="0; url=/"><a href="/">Dagster</a>\n'


class Guard:
    """Lets through what `Rules` allow, and opens a session for a code.

    Args:
        application: Dagster's own.
        rules: what is served.
        entrance: redeems codes.
    """

    def __init__(self, application: Application, rules: Rules, entrance: Entrance) -> None:
        self._application = application
        self._rules = rules
        self._entrance = entrance

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        asked = _asked(scope)
        refused = self._rules.refusal(asked)
        if refused is not None:
            await _refuse(scope, send, refused)
        elif asked.path == ENTRANCE:
            await self._enter(asked, scope, send)
        else:
            await self._application(scope, receive, _guarded(send))

    async def _enter(self, asked: UiRequest, scope: Message, send: Send) -> None:
        codes = parse_qs(asked.query).get("code", [])
        cookie = self._entrance.redeem(codes[0]) if asked.method == "GET" and len(codes) == 1 else None
        if cookie is None:
            why = "this link was used, or is older than a minute: `hyops open` prints a new one"
            await _refuse(scope, send, Refused(HTTPStatus.UNAUTHORIZED, why))
            return
        session = f"{self._rules.cookie}={cookie}; Path=/; HttpOnly; SameSite=Strict"
        # A browser that comes from a file or another page sends a Strict cookie only after a page of ours went on.
        from_elsewhere = asked.header("sec-fetch-site") in ("cross-site", "same-site")
        status = HTTPStatus.OK if from_elsewhere else HTTPStatus.SEE_OTHER
        headers = {"set-cookie": session, "cache-control": "no-store", "content-type": "text/html; charset=utf-8"}
        if not from_elsewhere:
            headers["location"] = "/"
        await _answer(send, status, headers, _GO_ON)


def _asked(scope: Message) -> UiRequest:
    return UiRequest(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        path=scope["path"],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=[(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]],
    )


async def _refuse(scope: Message, send: Send, refused: Refused) -> None:
    if scope["type"] == "websocket":
        # Before it was accepted: the server answers 403.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        return
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    await _answer(send, refused.status, headers, f"{refused.why}\n".encode())


async def _answer(send: Send, status: HTTPStatus, headers: dict[str, str], body: bytes) -> None:
    headers = {**headers, **ANSWER_HEADERS, "content-length": str(len(body))}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _guarded(send: Send) -> Send:
    """Return a `send` that adds ANSWER_HEADERS. A policy of Dagster's own stays: a browser obeys every one."""
    replaced = {name.encode() for name in ANSWER_HEADERS if name != "content-security-policy"}
    added = [(name.encode(), value.encode()) for name, value in ANSWER_HEADERS.items()]

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in replaced]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return send_guarded
