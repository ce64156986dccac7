"""Serving the guarded UI on a port of loopback, in this process."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import dagster as dg
import uvicorn

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.dagster_gaps import dagster_application
from hyops_assets.ui.guard import Application, Guard
from hyops_assets.ui.links import Entrance, link, new_key
from hyops_assets.ui.rules import Rules
from resources.settings import make_private, write_private

LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 3


class PortTaken(Refused):
    """Another program listens on the port."""


class NoUi(Refused):
    """No UI of this environment runs."""


def key_file(root: RuntimeRoot, port: int) -> Path:
    """Return where the key of a running UI lies: its name says the port."""
    return root.path / "work" / "ui" / f"{port}.key"


def open_link(root: RuntimeRoot) -> str:
    """Return a fresh link to the UI of an environment that runs; to the newest, where several do.

    Raises:
        NoUi: none runs.
    """
    keys = sorted(key_file(root, 0).parent.glob("[0-9]*.key"), key=lambda path: path.stat().st_mtime)
    for key in reversed(keys):
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, int(key.stem))) == 0:
                return link(f"http://{LOOPBACK}:{key.stem}", key.read_text())
    raise NoUi("no UI of this environment runs", hint="start it: hyops dev")


class Ui:
    """A UI that is about to be served.

    Args:
        root: of the environment.
        port: on loopback; 0 takes a free one.
        read_only: Dagster refuses every mutation, and the guard everything that is posted elsewhere.
        guarded: False leaves Dagster's application as it is, open to every page and every user of this host.
    """

    def __init__(self, root: RuntimeRoot, port: int, *, read_only: bool = False, guarded: bool = True) -> None:
        self._root = root
        self._read_only = read_only
        self.guarded = guarded
        self._socket = _bound(port)
        self.port = int(self._socket.getsockname()[1])
        self._server: uvicorn.Server | None = None

    @property
    def address(self) -> str:
        """Where it is served."""
        return f"http://{LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """Have `serve` return."""
        if self._server is not None:
            self._server.should_exit = True

    def serve(self, instance: dg.DagsterInstance, workspace: Path, *, ready: Callable[[str], None]) -> None:
        """Serve until a signal or `stop` ends it.

        Args:
            instance: what is shown.
            workspace: whose code locations.
            ready: called with the link to open, once the port answers.
        """
        with (
            self._socket,
            dagster_application(instance, workspace, read_only=self._read_only) as dagster,
            self._key() if self.guarded else nullcontext("") as key,
        ):
            application: Application = dagster  # type: ignore[assignment]  # starlette's types are wider
            if self.guarded:
                entrance = Entrance(key)
                cookie = f"hyops_ui_{self.port}"
                rules = Rules(self.port, cookie, entrance.knows, read_only=self._read_only)
                application = Guard(application, rules, entrance)
            # No access log: it would hold the codes. No trust in headers of a proxy: there is none.
            config = uvicorn.Config(
                application,  # type: ignore[arg-type]
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
            self._server = _Announcing(config, lambda: ready(link(self.address, key) if key else self.address))
            self._server.run(sockets=[self._socket])

    @contextmanager
    def _key(self) -> Iterator[str]:
        key = new_key()
        path = key_file(self._root, self.port)
        make_private(path.parent, below=self._root.path)
        write_private(path, key.encode())
        try:
            yield key
        finally:
            path.unlink(missing_ok=True)


class _Announcing(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _bound(port: int) -> socket.socket:
    """Bind before anything is printed: a link never leads to a port that another program has."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        raise PortTaken(
            f"{LOOPBACK}:{port} cannot be listened on: {error.strerror}", hint="give another with --port"
        ) from error
    return bound
