"""The stand-in: one project's API on loopback, its servers, and what is kept of them between two starts."""

from pathlib import Path

from aiohttp import web

from hyops_lab.faults import FaultTable
from hyops_lab.hetzner.answers import ROOT, ApiState, Observer, request_rules
from hyops_lab.hetzner.api import Api
from hyops_lab.hetzner.limits import RateLimit, Tokens
from hyops_lab.hetzner.project import Project
from hyops_lab.hetzner.rescue import RescueHost
from hyops_lab.hetzner.work import Delays, Worker
from hyops_lab.trace import Trace


class HetznerStandIn:
    """One Hetzner Cloud project on loopback.

    Args:
        state_dir: what the project holds; a second start goes on from there.
        trace: where every answered request and every SSH command is written.
        token: the bearer token that is accepted.
        read_only_token: one that may only read; none where empty.
        port: of the API; 0 picks a free one.
        rescue: where servers boot; one of its own where None.
        delays: what actions wait for before their work, by command: seconds, or a condition.
        snapshot_limit: snapshots the customer may have; Hetzner's default is 30.
        server_limit: servers the customer may have.
        rate: how many requests are answered.
        clock_ahead: seconds by which Hetzner's clock is ahead of this host's.
        faults: what is done wrong on purpose.
        observer: called with every request and answer.
    """

    def __init__(
        self,
        state_dir: Path,
        trace: Trace,
        *,
        token: str,
        read_only_token: str = "",
        port: int = 0,
        rescue: RescueHost | None = None,
        delays: Delays | None = None,
        snapshot_limit: int = 30,
        server_limit: int = 10,
        rate: RateLimit | None = None,
        clock_ahead: float = 0.0,
        faults: FaultTable | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.faults = faults if faults is not None else FaultTable()
        self.rate = rate or RateLimit()
        self.project = Project(state_dir, clock_ahead=clock_ahead)
        self._directory = state_dir
        self._trace = trace
        self._state = ApiState(Tokens(token, read_only_token), self.rate, clock_ahead)
        self._observer = observer
        self._rescue = rescue or RescueHost()
        self.worker = Worker(self.project, self._rescue, delays or {})
        self._api = Api(self.project, self.worker, snapshot_limit=snapshot_limit, server_limit=server_limit)
        self._runner: web.AppRunner | None = None
        self.port = port

    @property
    def url(self) -> str:
        """The API's endpoint."""
        return f"http://127.0.0.1:{self.port}{ROOT}"

    @property
    def rescue_ssh_port(self) -> int:
        """The SSH port of every server."""
        return self._rescue.port

    @property
    def sold_out(self) -> set[tuple[str, str]]:
        """The (server type, location) pairs that are not on offer; change it at will."""
        return self._api.servers.sold_out

    def image_disk(self, image_id: int) -> Path:
        """Return the file with a snapshot's disk."""
        return self.project.image_disk(image_id)

    async def start(self) -> None:
        """Listen, and take up what was left running.

        Raises:
            OSError: the port is taken.
        """
        self._rescue.prepare(self._directory, self._trace, self.faults)
        app = web.Application(middlewares=[request_rules(self._state, self.faults, self._trace, self._observer)])
        app.add_routes(self._api.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        await self.worker.resume()

    async def stop(self) -> None:
        """Stop listening, end the commands on the servers, and keep what there is."""
        await self.worker.stop()
        await self._rescue.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.project.save()
