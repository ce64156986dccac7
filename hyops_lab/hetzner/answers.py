"""The API's request_rules: errors, pages, tokens, faults and the trace, around every handler.

Error bodies and codes: https://docs.hetzner.cloud/reference/cloud, "Errors".
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from hyops_lab.faults import Answer, Delay, DropAfterCommit, FaultTable, Pretend, kill_at
from hyops_lab.hetzner.limits import RateLimit, Tokens
from hyops_lab.trace import Request, Trace

ROOT = "/v1"
_MAX_PER_PAGE = 50
_DEFAULT_PER_PAGE = 25

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PRETEND: web.RequestKey[bool] = web.RequestKey("pretend", bool)
_REASON: web.RequestKey[str] = web.RequestKey("reason", str)


class ApiError(Exception):
    """An answer that is an error: HTTP status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as JSON: what a test checks against the vendor's schema. `path` is below /v1."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    status: int
    answer: Any


Observer = Callable[[Exchange], None]

OBSERVERS: list[Observer] = []
"""Called with every request and answer of every project in this process, of any caller."""


def not_found(what: str, id_: object) -> ApiError:
    """Return the answer to a reference to something that is not there."""
    return ApiError(404, "not_found", f"{what} with ID '{id_}' not found")


def invalid(message: str) -> ApiError:
    """Return the answer to a request that makes no sense."""
    return ApiError(422, "invalid_input", message)


def page_of(request: web.Request, name: str, views: Sequence[Any]) -> web.Response:
    """Answer with one page of a list: 25 entries unless asked for another number, 50 at most."""
    try:
        page = max(1, int(request.query.get("page", "1")))
        per_page = min(_MAX_PER_PAGE, max(1, int(request.query.get("per_page", str(_DEFAULT_PER_PAGE)))))
    except ValueError as error:
        raise invalid("page and per_page must be integers") from error
    last = max(1, -(-len(views) // per_page))
    pagination = {
        "page": page,
        "per_page": per_page,
        "previous_page": page - 1 if page > 1 else None,
        "next_page": page + 1 if page < last else None,
        "last_page": last,
        "total_entries": len(views),
    }
    shown = list(views[(page - 1) * per_page : page * per_page])
    return web.json_response({name: shown, "meta": {"pagination": pagination}})


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return a request's JSON object; an absent body is an empty one."""
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ApiError(400, "json_error", "the request body is not valid JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "json_error", "the request body is not an object")
    return body


@dataclass(frozen=True)
class ApiState:
    """What holds for every request: tokens, the rate, and how many seconds Hetzner's clock is ahead of this host's."""

    tokens: Tokens
    rate: RateLimit
    clock_ahead: float = 0.0

    def now(self) -> float:
        """Return the time at Hetzner, in epoch seconds."""
        return time.time() + self.clock_ahead


def request_rules(api: ApiState, faults: FaultTable, trace: Trace, observer: Observer | None) -> Any:
    """Return the middleware that checks token and rate, commits the faults, words the errors and writes the trace."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(ROOT)
        fault = faults.due(request.method, path)
        request[PRETEND] = isinstance(fault, Pretend)
        if kill_at(fault, "before"):
            return _cut(request)
        try:
            response = await _dispatch(request, handler, api, fault)
        except ApiError as error:
            response = _error(error)
        response.headers.update(api.rate.headers(api.now()))
        response.headers["Date"] = formatdate(api.now(), usegmt=True)
        await _report_exchange(request, response, path, trace, observer)
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        if kill_at(fault, "after") or isinstance(fault, DropAfterCommit):
            _cut(request)
        return response

    return middleware


def _cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection; no caller gets what is returned."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _dispatch(request: web.Request, handler: Handler, api: ApiState, fault: object) -> web.StreamResponse:
    # An unknown path is answered before the token is looked at, as the live API does.
    if request.match_info.http_exception is not None:
        raise ApiError(404, "not_found", "api route not found")
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not given:
        raise ApiError(401, "unauthorized", "token is required")
    if not api.tokens.may_read(given):
        raise ApiError(401, "unauthorized", "the token you have provided is invalid")
    if not api.rate.take():
        raise ApiError(429, "rate_limit_exceeded", f"limit of {api.rate.limit} requests per hour reached")
    if request.method not in {"GET", "HEAD"} and not api.tokens.may_write(given):
        raise ApiError(401, "token_readonly", "the token you have provided may only read")
    if isinstance(fault, Answer):
        raise ApiError(fault.status, fault.code, fault.message)
    return await handler(request)


def _error(error: ApiError) -> web.Response:
    body = {"error": {"code": error.code, "message": error.message, "details": {}}}
    return web.json_response(body, status=error.status)


async def _report_exchange(
    request: web.Request, response: web.StreamResponse, path: str, trace: Trace, observer: Observer | None
) -> None:
    sent = await request.read()
    answer = response.body if isinstance(response, web.Response) else None
    answered = answer if isinstance(answer, bytes) else b""
    trace.add(Request("hetzner", request.method, path, response.status, len(sent), len(answered)))
    observers = [*OBSERVERS, *([observer] if observer is not None else [])]
    if observers:
        query = {key: request.query.getall(key) for key in request.query}
        body = json.loads(sent) if sent else None
        seen = json.loads(answered) if answered else None
        exchange = Exchange(request.method, path, query, body, response.status, seen)
        for each in observers:
            each(exchange)
