"""The service over TLS: tokens, the JSON API and plain object URLs under one address; faults and the trace.

What a call does is in `api.py` and below it.
"""

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from hyops_lab.authority import Authority
from hyops_lab.faults import Action, Answer, Delay, DropAfterCommit, FaultTable, Pretend
from hyops_lab.gcs.accounts import Accounts, GrantRefused
from hyops_lab.gcs.answers import ApiError, Sent
from hyops_lab.gcs.api import Api, Call, Handler, project_binding
from hyops_lab.gcs.buckets import Buckets
from hyops_lab.gcs.objects import Objects
from hyops_lab.gcs.uploads import WEEK_SECONDS, Uploads
from hyops_lab.trace import Request, Trace

HOST = "127.0.0.1"
Wording = Callable[[ApiError], web.Response]
_READ_BUFFER_BYTES = 4 << 20
_MAX_BODY_BYTES = 64 << 20
_SHOWN = {
    "x-goog-generation": "generation",
    "x-goog-metageneration": "metageneration",
    "x-goog-stored-content-length": "size",
    "x-goog-storage-class": "storageClass",
    "Cache-Control": "cacheControl",
    "Content-Type": "contentType",
    "Content-Disposition": "contentDisposition",
}


class GcsStandIn:
    """Google Cloud Storage for one project, on loopback.

    Args:
        state_dir: buckets, objects and public keys; a later stand-in on the same directory continues.
        trace: where every request is written: as `gcs`, and tokens as `gcs-oauth`.
        authority: signs the server's certificate.
        port: 0 takes a free one; `port` tells which.
        project: the project's id.
        session_seconds: how long a resumable upload may take.
        faults: what is done wrong on purpose; paths are whole.
    """

    def __init__(
        self,
        state_dir: Path,
        trace: Trace,
        authority: Authority,
        *,
        port: int = 0,
        project: str = "hyops-lab",
        session_seconds: float = WEEK_SECONDS,
        faults: FaultTable | None = None,
    ) -> None:
        self.port = port
        self.faults = faults if faults is not None else FaultTable()
        self.accounts = Accounts(state_dir / "accounts", project)
        self._trace = trace
        self._authority = authority
        self._runner: web.AppRunner | None = None
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._objects = Objects(state_dir / "buckets")
        self.uploads = Uploads(state_dir / "spool", self._objects, session_seconds=session_seconds)
        self._buckets = Buckets(state_dir / "buckets")
        self._api = Api(project, self._buckets, self._objects, self.uploads)
        self._api.project_bindings.append(project_binding(self.accounts.email("owner")))

    @property
    def url(self) -> str:
        """The endpoint, without a slash at its end; its port is known once the server has started."""
        return f"https://{HOST}:{self.port}"

    def key(self, name: str, private: rsa.RSAPrivateKey | None = None) -> dict[str, str]:
        """Return a key of a service account, as the JSON that a user downloads; a fresh one where none is given.

        `owner` may do everything.
        """
        return self.accounts.create(name, token_uri=f"{self.url}/token", private=private)

    def provide_bucket(self, name: str, publisher: str) -> None:
        """Have a bucket that anyone may read and one account may add to; what it holds and allows already stays."""
        if name in self._buckets:
            return
        email = self.accounts.email(publisher)
        roles = ("roles/storage.objectCreator", "roles/storage.objectViewer")
        bindings = [{"role": role, "members": [f"serviceAccount:{email}"]} for role in roles]
        bindings.append({"role": "roles/storage.legacyObjectReader", "members": ["allUsers"]})
        self._buckets.create({"name": name, "location": "EU"}).set_policy({"bindings": bindings})

    def provide_foreign_bucket(self, name: str) -> None:
        """Create a bucket of another project, on which no account here has any right."""
        self._buckets.create({"name": name}, project_number="2")

    def bucket_policy(self, name: str, policy: dict[str, Any]) -> None:
        """Set who may do what in a bucket, as its owner does."""
        self._buckets.get(name).set_policy(policy)

    async def start(self) -> None:
        """Listen with TLS on loopback.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/token", self._token)
        for method, path, handler in self._api.routes():
            app.router.add_route(method, path, functools.partial(self._serve, handler, ApiError.as_json))
        for method in ("GET", "HEAD"):
            plain = functools.partial(self._serve, self._get_by_plain_url, ApiError.as_xml)
            app.router.add_route(method, "/{bucket}/{object:.+}", plain)
        app.router.add_route("*", "/{path:.*}", functools.partial(self._serve, _unknown, ApiError.as_json))
        # As large a buffer as a few reads take: with aiohttp's own an upload waits at every 64 KiB.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, read_bufsize=_READ_BUFFER_BYTES)
        await runner.setup()
        context = self._authority.server_context(HOST, "localhost")
        try:
            await web.TCPSite(runner, HOST, self.port, ssl_context=context).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        for connection in list(self._connections):
            # An idle client never answers TLS' close; waiting for it would outlive the event loop.
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        # One more turn of the loop closes the sockets of what was aborted.
        await asyncio.sleep(0)

    async def _serve(self, handler: Handler, worded: Wording, request: web.Request) -> web.StreamResponse:
        self._track_connection(request)
        fault = self.faults.due(request.method, request.path)
        try:
            answer = await self._dispatch(handler, request, fault)
        except ApiError as error:
            # The rest of a body is read, as by a proxy in front: the sender gets the answer, not a broken pipe.
            await _drain(request)
            answer = worded(error)
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        dropped = isinstance(fault, DropAfterCommit)
        if isinstance(answer, Sent) and not dropped:
            # Only sending it decides its status: whole, a range, or not satisfiable.
            with contextlib.suppress(ConnectionResetError):
                await answer.prepare(request)
        self._trace_request("gcs", request, answer, dropped=dropped)
        if dropped and request.transport is not None:
            request.transport.abort()
        return answer

    async def _dispatch(self, handler: Handler, request: web.Request, fault: Action | None) -> web.StreamResponse:
        if isinstance(fault, Answer):
            raise ApiError(fault.status, fault.code, fault.message)
        principal = self.accounts.principal(request.headers.get("Authorization"), request.method)
        return await handler(Call(request, principal, isinstance(fault, Pretend)))

    async def _get_by_plain_url(self, call: Call) -> web.StreamResponse:
        """Answer a GET or a HEAD under an object's plain URL, with ranges and what is noted of it."""
        names = call.request.match_info
        found = self._api.readable(call.principal, names["bucket"], names["object"], call.query)
        headers = {header: found[key] for header, key in _SHOWN.items() if key in found}
        headers |= {f"x-goog-meta-{key}": value for key, value in found.get("metadata", {}).items()}
        headers["x-goog-hash"] = f"crc32c={found['crc32c']},md5={found['md5Hash']}"
        headers.setdefault("Cache-Control", "public, max-age=3600")
        return Sent(self._objects.content(found), headers=headers)

    def _track_connection(self, request: web.Request) -> None:
        if request.transport is not None:
            self._connections.add(request.transport)

    async def _token(self, request: web.Request) -> web.Response:
        self._track_connection(request)
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        fault = self.faults.due(request.method, request.path)
        if isinstance(fault, Answer):
            answer = web.json_response({"error": fault.code, "error_description": fault.message}, status=fault.status)
        else:
            try:
                answer = web.json_response(self.accounts.grant(form))
            except GrantRefused as error:
                refusal = {"error": "invalid_grant", "error_description": str(error)}
                answer = web.json_response(refusal, status=400)
        self._trace_request("gcs-oauth", request, answer, dropped=False)
        return answer

    def _trace_request(self, system: str, request: web.Request, answer: web.StreamResponse, *, dropped: bool) -> None:
        # The path only: the query of an upload holds the session, which is a secret.
        size = 0 if dropped or request.method == "HEAD" else answer.content_length or 0
        sent = request.content_length or 0
        self._trace.add(Request(system, request.method, request.path, answer.status, sent, size))


async def _unknown(call: Call) -> web.StreamResponse:
    raise ApiError(404, "notFound", "Not Found")


async def _drain(request: web.Request) -> None:
    async for _ in request.content.iter_any():
        pass
