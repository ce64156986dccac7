"""A static file server over TLS, as an object store or a release host answers: whole files, ranges, validators.

What belongs here: HTTP for files of one directory (RFC 9110). What the files mean is the stand-ins' that derive from
it. Nothing is listed, and nothing that starts with a dot is served.
"""

import asyncio
import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from aiohttp import web

from hyops_assets.contract.version import RELEASE_PATTERN
from hyops_lab.authority import Authority
from hyops_lab.faults import Action, Answer, Delay, FaultTable, kill_at, kill_between
from hyops_lab.trace import Request, Trace

HOST = "127.0.0.1"
FOREVER = "public, max-age=31536000, immutable"
_CHUNK_BYTES = 1 << 18
_CONTENT_TYPES = {".json": "application/json", ".xz": "application/x-xz", ".minisig": "text/plain"}


@dataclass(frozen=True)
class Representation:
    """What a URL stands for at the moment: bytes in memory or a file, and its strong validator."""

    content: bytes | Path
    size_bytes: int
    etag: str

    @classmethod
    def of_file(cls, path: Path) -> "Representation":
        """Describe a file; its validator changes with its time and its size."""
        stat = path.stat()
        return cls(path, stat.st_size, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')

    @classmethod
    def of_bytes(cls, content: bytes) -> "Representation":
        """Describe bytes; their validator is their digest."""
        return cls(content, len(content), f'"{hashlib.sha256(content).hexdigest()[:32]}"')


class StaticServer:
    """Serves the files of a directory on loopback; traces each answer and how many body bytes really left.

    Args:
        system: its name in the trace.
        directory: what is served.
        trace: where requests are noted.
        authority: signs its certificate.
        port: 0 takes a free one.

    Attributes:
        faults: what is done wrong on purpose: Answer, Delay and Kill (bytes are those of the body that were sent; the
            answer goes on: the client that fetches is often not the process that is killed).
    """

    def __init__(self, system: str, directory: Path, trace: Trace, authority: Authority, *, port: int = 0) -> None:
        self.directory = directory
        self.port = port
        self.faults = FaultTable()
        self._system = system
        self._trace = trace
        self._authority = authority
        self._runner: web.AppRunner | None = None
        self._break_after: int | None = None

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end; its port is known once the server has started."""
        return f"https://{HOST}:{self.port}"

    def break_next_answer_after(self, size_bytes: int) -> None:
        """Drop the connection of the next GET of a larger body after so many bytes, as a failing network does."""
        self._break_after = size_bytes

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken."""
        self.directory.mkdir(parents=True, exist_ok=True)
        app = web.Application()
        app.router.add_route("*", "/{name:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self.port, ssl_context=self._authority.server_context(HOST, "localhost"))
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def represent(self, name: str) -> Representation | None:
        """Return what the path of a URL stands for, or None where it stands for nothing."""
        parts = name.split("/")
        if not all(parts) or any(part.startswith(".") for part in parts):
            return None
        path = (self.directory / name).resolve()
        if not path.is_relative_to(self.directory.resolve()) or not path.is_file():
            return None
        return Representation.of_file(path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.due(request.method, request.path)
        kill_at(fault, "before")
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        plan = self._plan(request, request.match_info["name"])
        if isinstance(fault, Answer):
            plan = _Plan(fault.status, {"Content-Length": "0"})
        response = web.StreamResponse(status=plan.status, headers=plan.headers)
        noted = Request(self._system, request.method, request.path, plan.status)
        # A client that goes away is no error of ours; the trace tells how much it took.
        with suppress(ConnectionError):
            if plan.body is None or request.method == "HEAD":
                self._trace.add(noted)
                await response.prepare(request)
            else:
                await response.prepare(request)
                await self._send(request, response, plan.body, noted, fault)
            await response.write_eof()
        kill_at(fault, "after")
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, part: "_Part", noted: Request, fault: Action | None
    ) -> None:
        size = part.stop - part.start
        stop = size
        if self._break_after is not None and self._break_after < size:
            stop, self._break_after = self._break_after, None
        sent, traced = 0, False
        try:
            with _opened(part.content) as file:
                file.seek(part.start)
                # Read in a thread: where nothing is awaited, the loop never learns that the client has gone.
                while chunk := await asyncio.to_thread(file.read, min(stop - sent, _CHUNK_BYTES)):
                    if sent + len(chunk) == stop:
                        # Before the last bytes leave: a client that has them all finds the request in the trace.
                        self._trace.add(replace(noted, answer_bytes=stop))
                        traced = True
                    await response.write(chunk)
                    kill_between(fault, sent, sent + len(chunk))
                    sent += len(chunk)
        finally:
            if not traced:
                self._trace.add(replace(noted, answer_bytes=sent))
        if sent < size and request.transport is not None:
            request.transport.abort()

    def _plan(self, request: web.Request, name: str) -> "_Plan":
        if request.method not in ("GET", "HEAD"):
            return _Plan(405, {"Allow": "GET, HEAD", "Content-Length": "0"})
        found = self.represent(name)
        if found is None:
            return _Plan(404, {"Content-Length": "0", "Cache-Control": "no-cache"})
        headers = {
            "ETag": found.etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": FOREVER if RELEASE_PATTERN.search(name) else "no-cache",
            "Content-Type": _CONTENT_TYPES.get(Path(name).suffix, "application/octet-stream"),
        }
        if found.etag in request.headers.get("If-None-Match", ""):
            return _Plan(304, headers)
        return _ranged(request, found, headers)


@dataclass(frozen=True)
class _Part:
    """Bytes `start` to `stop` (exclusive) of a representation."""

    content: bytes | Path
    start: int
    stop: int


@dataclass(frozen=True)
class _Plan:
    """How a request is answered."""

    status: int
    headers: dict[str, str]
    body: _Part | None = None


def _ranged(request: web.Request, found: Representation, headers: dict[str, str]) -> _Plan:
    """Answer with the range asked for, or with everything where the range is stale or malformed (RFC 9110 §14.2)."""
    size = found.size_bytes
    whole = _Plan(200, {**headers, "Content-Length": str(size)}, _Part(found.content, 0, size))
    if "Range" not in request.headers or request.headers.get("If-Range", found.etag) != found.etag:
        return whole
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        return whole
    if start >= size:
        return _Plan(416, {**headers, "Content-Range": f"bytes */{size}", "Content-Length": "0"})
    partial = {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "Content-Length": str(stop - start)}
    return _Plan(206, {**headers, **partial}, _Part(found.content, start, stop))


def _opened(content: bytes | Path) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
