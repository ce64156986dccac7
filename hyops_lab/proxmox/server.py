"""The cluster over TLS: reading requests, the envelope of answers, the trace and the faults.

What a call does is in `api.py` and below it.
"""

import asyncio
import functools
import shutil
import ssl
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from hyops_lab.authority import Authority
from hyops_lab.faults import (
    Action,
    Answer,
    Delay,
    DropAfterCommit,
    FaultTable,
    Page,
    Pretend,
    kill_at,
)
from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError, Parameters
from hyops_lab.proxmox.api import Api
from hyops_lab.proxmox.call import Call, Handler
from hyops_lab.proxmox.guests import Guests
from hyops_lab.proxmox.inventory import Inventory
from hyops_lab.proxmox.machine_calls import MachineCalls
from hyops_lab.proxmox.machines import Machines
from hyops_lab.proxmox.statistics import Statistics
from hyops_lab.proxmox.storage_calls import StorageCalls
from hyops_lab.proxmox.storages import Storages
from hyops_lab.proxmox.uploads import read_upload
from hyops_lab.proxmox.workers import Workers
from hyops_lab.trace import Request, Trace

PREFIX = "/api2/json"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as an observer sees them. `data` is the payload, None where there is none."""

    method: str
    path: str
    parameters: Mapping[str, str]
    status: int
    data: object


OBSERVERS: list[Callable[[Exchange], None]] = []
"""Called with every request and answer of every cluster in this process, of any caller."""


class ProxmoxStandIn:
    """One Proxmox VE cluster on loopback, reached through one of its nodes.

    Args:
        state_dir: inventory and disks; a later stand-in on the same directory continues.
        trace: where every request is written.
        authority: signs the server's certificate.
        token_id: `user@realm!name` of the one API token.
        token: its secret.
        nodes: their names; clients talk to the first one.
        port: 0 takes a free one; `port` tells which.
        ca_bundle: whom `download-url` trusts; None is the system's bundle.
        boot_guests: whether starting a machine boots its disk in QEMU (slow: TCG).
    """

    def __init__(
        self,
        state_dir: Path,
        trace: Trace,
        authority: Authority,
        *,
        token_id: str,
        token: str,
        nodes: tuple[str, ...] = ("pve1",),
        port: int = 0,
        ca_bundle: Path | None = None,
        boot_guests: bool = False,
    ) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.host = "127.0.0.1"
        self.port = port
        self.faults = FaultTable()
        self.observers: list[Callable[[Exchange], None]] = []
        self.access = Access(token_id, token)
        self.inventory = Inventory(state_dir, *nodes)
        trust = ssl.create_default_context(cafile=ca_bundle)
        # The first node's lie where those of a single node do; each further one has a directory of its name.
        rooms = {node: state_dir / "storage" / ("" if node == nodes[0] else node) for node in nodes}
        self.storages_of = {
            node: Storages(room, state_dir / "storage", trust, self.faults) for node, room in rooms.items()
        }
        self.storages = self.storages_of[nodes[0]]
        self.workers = Workers(self.inventory)
        self.guests = Guests(state_dir / "guests", boot=boot_guests)
        machines = Machines(self.access, self.inventory, self.storages_of, self.workers, self.guests)
        self.tag_rules = machines.tag_rules
        machine_calls = MachineCalls(
            self.access,
            self.inventory,
            self.storages_of,
            self.workers,
            machines,
            self.guests,
            bridges=["vmbr0"],
            version="9.2.11",
        )
        self.statistics = Statistics(self.inventory, machine_calls.reported)
        self.api = Api(
            access=self.access,
            inventory=self.inventory,
            storages=self.storages_of,
            workers=self.workers,
            guests=self.guests,
            statistics=self.statistics,
            machine_calls=machine_calls,
            storage_calls=StorageCalls(self.access, self.inventory, self.storages_of, self.workers),
        )
        self._spool = state_dir / "spool"
        self._trace = trace
        self._authority = authority
        self._runner: web.AppRunner | None = None
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def volume_path(self, volid: str) -> Path:
        """Return the file that holds a volume's bytes."""
        return self.storages.path(volid)

    async def start(self) -> None:
        """Listen with TLS on loopback.

        Raises:
            OSError: the port is taken.
        """
        shutil.rmtree(self._spool, ignore_errors=True)
        self._spool.mkdir()
        application = web.Application(client_max_size=1 << 24)
        for method, path, parameters, handler in self.api.routes():
            application.router.add_route(method, PREFIX + path, functools.partial(self._serve, parameters, handler))
        application.router.add_route("*", "/{path:.*}", functools.partial(self._serve, None, None))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        context = self._authority.server_context("127.0.0.1", "localhost")
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, end workers and guests."""
        await self.workers.stop_all()
        await self.guests.stop_all()
        for connection in list(self._connections):
            # An idle client never answers TLS' close; waiting for it would outlive the event loop.
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(
        self, parameters: Parameters | None, handler: Handler | None, request: web.Request
    ) -> web.StreamResponse:
        path = request.path.removeprefix(PREFIX)
        if request.transport is not None:
            self._connections.add(request.transport)
        call = Call(dict(request.match_info), dict(request.query))
        received, data = 0, None
        refusal: ApiError | None = None
        fault = self.faults.due(request.method, path)
        if kill_at(fault, "before"):
            return _cut(request)
        if isinstance(fault, Page):
            return web.Response(status=fault.status, text=fault.html, content_type="text/html")
        try:
            self._require_token_and_no_fault(request, fault)
            received = await self._read_body(request, call, fault)
            if not isinstance(fault, Pretend):
                data = await self._do(request, path, parameters, handler, call)
        except ApiError as error:
            refusal = error
        except ConnectionError:
            # The client went away in the middle of what it sent.
            return _cut(request)
        finally:
            if call.upload is not None:
                call.upload.unlink(missing_ok=True)
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        answer = web.json_response({"data": data}) if refusal is None else _refusal(refusal)
        for observe in (*OBSERVERS, *self.observers):
            observe(Exchange(request.method, path, call.parameters, answer.status, data))
        dropped = kill_at(fault, "after") or isinstance(fault, DropAfterCommit)
        self._record(request, answer.status, received, answer, dropped=dropped)
        return _cut(request) if dropped else answer

    def _require_token_and_no_fault(self, request: web.Request, fault: Action | None) -> None:
        """Refuse a call that a fault is for, and one without the token."""
        if isinstance(fault, Answer):
            raise ApiError(fault.status, fault.message)
        self.access.authenticate(request.headers.get("Authorization"))

    async def _do(
        self, request: web.Request, path: str, parameters: Parameters | None, handler: Handler | None, call: Call
    ) -> object:
        if handler is None or parameters is None:
            raise ApiError(501, f"Method '{request.method} {path}' not implemented")
        node = call.path.get("node")
        if node is not None and node not in self.inventory.members:
            # pve-common, Network.pm, `get_ip_from_hostname`, and Tools.pm, `getaddrinfo_all`.
            why = f"failed to get address info for: {node}: Name or service not known"
            raise ApiError(500, f"hostname lookup '{node}' failed - {why}")
        if node in self.inventory.down:
            raise ApiError(595, "No route to host")
        parameters.check(call.parameters)
        return await handler(call)

    async def _read_body(self, request: web.Request, call: Call, fault: Action | None) -> int:
        """Read a form, or spool an upload without holding it in memory; return the bytes that came."""
        if request.content_type == "multipart/form-data":
            # The rights to upload are looked at before anything is read, and refused without a body.
            self._require_uploader(call)
            return await read_upload(request, call, self._spool, fault)
        form = await request.post()
        call.parameters |= {name: value for name, value in form.items() if isinstance(value, str)}
        return request.content_length or 0

    def _require_uploader(self, call: Call) -> None:
        """Refuse who may not upload (pve-manager, HTTPServer.pm, `auth_handler`)."""
        try:
            self.access.require(f"/storage/{call.path.get('storage')}", "Datastore.AllocateTemplate")
        except ApiError as error:
            raise ApiError(error.status, error.reason, bare=True) from error

    def _record(
        self, request: web.Request, status: int, received: int, answer: web.Response, *, dropped: bool
    ) -> None:
        size = 0 if dropped or not isinstance(answer.body, bytes) else len(answer.body)
        self._trace.add(Request("proxmox", request.method, request.path, status, received, size))


def _refusal(error: ApiError) -> web.Response:
    """Return an error's answer. Proxmox closes the connection after each (AnyEvent.pm, `response`)."""
    if error.bare:
        answer = web.Response(status=error.status, reason=error.reason)
    else:
        # A plain failure's text has no full stop but a line break at its end, which the reason phrase loses.
        body: dict[str, object] = {"data": None, "message": f"{error.reason}\n"}
        answer = web.json_response(
            body | ({"errors": error.errors} if error.errors else {}), status=error.status, reason=error.reason
        )
    answer.force_close()
    return answer


def _cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection; no caller gets what is returned."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
