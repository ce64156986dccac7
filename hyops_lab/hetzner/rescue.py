"""The SSH endpoint of the lab's servers: one loopback address each, one port for all.

Only the keys given to `enable_rescue` (or, where the server's own system was booted, at its creation) get in, as
root. Each command runs confined on the server's disk, and dies with its client.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import asyncssh

from hyops_assets.image.programs import run
from hyops_lab.faults import Delay, DropAfterCommit, FaultTable, kill_at, killing_as_it_grows
from hyops_lab.hetzner.confinement import Cell, CellFailed, run_confined
from hyops_lab.hetzner.metadata import Metadata
from hyops_lab.hetzner.shims import install_shims
from hyops_lab.trace import Request, Trace

PowerDown = Callable[[str], Awaitable[None]]
"""Called with `poweroff`, `shutdown` or `reboot` after a command asked the server to."""

Withheld = Literal["shadow", "user_data"]
"""What a booted system may lack: root's password in its /etc/shadow, the user_data in its metadata service."""


class _SshServer(asyncssh.SSHServer):
    def __init__(self, public_keys: frozenset[bytes], connections: set[asyncssh.SSHServerConnection]) -> None:
        self._public_keys = public_keys
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connections.discard(self._connection)

    def password_auth_supported(self) -> bool:
        return False

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "root" and key.public_data in self._public_keys


@dataclass
class _Endpoint:
    listener: asyncssh.SSHAcceptor
    metadata: Metadata
    running: set[asyncio.Task[None]] = field(default_factory=set)
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)


class RescueHost:
    """Boots servers so far that they can be logged in to.

    Args:
        port: the SSH port of every server; 0 picks a free one.
        bundle: CA bundle that curl trusts in there; the host's own where None.
        discard_zeroes: whether blkdiscard empties a disk. Not every real backend does.
        without: programs below /usr/bin that are missing in there.
        resolves: whether names are resolved in there.
        withholds: what a system in there cannot read of its server, as may hold for the real one.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        bundle: Path | None = None,
        discard_zeroes: bool = True,
        without: Collection[str] = (),
        resolves: bool = True,
        withholds: Collection[Withheld] = (),
    ) -> None:
        self.port = port
        self._withholds = frozenset(withholds)
        self._without = frozenset(without)
        self._resolves = resolves
        self._bundle = bundle
        self._discard_zeroes = discard_zeroes
        self._endpoints: dict[int, _Endpoint] = {}
        self._directory: Path | None = None
        self._trace: Trace | None = None
        self._faults = FaultTable()

    def prepare(self, directory: Path, trace: Trace, faults: FaultTable | None = None) -> None:
        """Install the shims, and settle the port. Call it before the first boot.

        Each command is a call `SSH /servers/<id>` to the faults: Kill (bytes are those that reach the disk), Delay
        and DropAfterCommit.

        Raises:
            OSError: the port is taken: better reported now than when a server boots.
        """
        self._directory = directory
        self._trace = trace
        self._faults = faults if faults is not None else self._faults
        install_shims(directory / "shims")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.2", self.port))
            self.port = probe.getsockname()[1]

    async def boot(
        self,
        server_id: int,
        *,
        address: str,
        hostname: str,
        disk: Path,
        keys: list[str],
        power_down: PowerDown,
        root_password: str = "",
        user_data: str = "",
    ) -> None:
        """Listen for a server, with a new host key, as a rescue system makes at each boot.

        Args:
            server_id: of the server.
            address: that it is reached at.
            hostname: `rescue`, or the server's name where its own system boots.
            disk: the file that is its disk.
            keys: public keys that get in.
            power_down: called when a command brings it down.
            root_password: in its /etc/shadow, hashed; where empty, root has none there.
            user_data: that its metadata service serves.

        Raises:
            OSError: the address and port are taken.
            CellFailed: no command can be confined here, so that nothing would answer as a rescue system does.
        """
        await self.halt(server_id)
        if self._directory is None:
            raise RuntimeError("the rescue host was not prepared")
        control = self._directory / f"control-{server_id}"
        control.mkdir(exist_ok=True)
        (control / "power").unlink(missing_ok=True)
        if not self._discard_zeroes:
            (control / "discard-keeps-data").touch()
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        etc = await self._write_etc(server_id, host_key, "" if "shadow" in self._withholds else root_password)
        metadata = Metadata(server_id, "" if "user_data" in self._withholds else user_data)
        await metadata.start()
        place = self._directory / f"metadata-{server_id}"
        place.write_text(metadata.place)
        cell = Cell(
            hostname=hostname,
            disk=disk,
            shims=self._directory / "shims",
            etc=etc,
            metadata=place,
            control=control,
            bundle=self._bundle,
            without=self._without,
            resolves=self._resolves,
        )
        allowed = frozenset(asyncssh.import_public_key(key).public_data for key in keys)
        running: set[asyncio.Task[None]] = set()
        connections: set[asyncssh.SSHServerConnection] = set()

        def on_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
            task = asyncio.ensure_future(self._serve(server_id, cell, process, power_down))
            running.add(task)
            task.add_done_callback(running.discard)

        try:
            await asyncio.to_thread(cell.require)
            listener = await asyncssh.listen(
                address,
                self.port,
                server_factory=lambda: _SshServer(allowed, connections),
                server_host_keys=[host_key],
                process_factory=on_command,
                encoding=None,
                allow_pty=False,
                agent_forwarding=False,
                reuse_address=True,
            )
        except (OSError, CellFailed):
            await metadata.stop()
            raise
        self._endpoints[server_id] = _Endpoint(listener, metadata, running, connections)

    async def _write_etc(self, server_id: int, host_key: asyncssh.SSHKey, root_password: str) -> Path:
        """Write what a booted system has of its own in /etc: its public host key and root's line in /etc/shadow."""
        if self._directory is None:
            raise RuntimeError("the rescue host was not prepared")
        etc = self._directory / f"etc-{server_id}"
        (etc / "ssh").mkdir(parents=True, exist_ok=True)
        (etc / "ssh" / "ssh_host_ed25519_key.pub").write_bytes(host_key.export_public_key())
        hashed = await asyncio.to_thread(_hashed, root_password) if root_password else "*"
        (etc / "shadow").write_text(f"root:{hashed}:20500:0:99999:7:::\n")
        return etc

    async def halt(self, server_id: int) -> None:
        """Stop listening for a server, cut its connections and end its commands."""
        endpoint = self._endpoints.pop(server_id, None)
        if endpoint is None:
            return
        endpoint.listener.close()
        # A power-down is asked for by a command, which must not wait for its own end.
        own = asyncio.current_task()
        for task in (others := endpoint.running - {own} if own else endpoint.running):
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for connection in list(endpoint.connections):
            connection.close()
        await endpoint.listener.wait_closed()
        await endpoint.metadata.stop()

    async def stop(self) -> None:
        """Halt every server."""
        for server_id in list(self._endpoints):
            await self.halt(server_id)

    async def _serve(
        self, server_id: int, cell: Cell, process: asyncssh.SSHServerProcess[bytes], power_down: PowerDown
    ) -> None:
        received = sent = 0
        fault = self._faults.due("SSH", f"/servers/{server_id}")
        if kill_at(fault, "before"):
            process.channel.get_connection().abort()
            return

        async def read(count: int) -> bytes:
            nonlocal received
            data = await process.stdin.read(count)
            received += len(data)
            return data

        def writer(stream: asyncssh.SSHWriter[bytes]) -> Callable[[bytes], Awaitable[None]]:
            async def write(data: bytes) -> None:
                nonlocal sent
                sent += len(data)
                stream.write(data)
                await stream.drain()

            return write

        work = asyncio.create_task(
            run_confined(
                cell,
                process.command or "true",
                stdin=read,
                stdout=writer(process.stdout),
                stderr=writer(process.stderr),
            )
        )
        gone = asyncio.create_task(process.channel.wait_closed())
        try:
            async with killing_as_it_grows(fault, cell.disk):
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, gone):
                if not task.done():
                    task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        status = _exit_status(work, process)
        if self._trace is not None:
            self._trace.add(Request("rescue", "SSH", f"/servers/{server_id}", status, received, sent))
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        if kill_at(fault, "after") or isinstance(fault, DropAfterCommit):
            process.channel.get_connection().abort()
        with contextlib.suppress(OSError, asyncssh.Error):
            process.exit(status)
        await _power_down_if_asked(cell, power_down)


def _hashed(password: str) -> str:
    """Return a password's sha512crypt, as a rescue system may set it."""
    return run(["openssl", "passwd", "-6", "-stdin"], stdin=f"{password}\n".encode()).stdout.decode().strip()


async def _power_down_if_asked(cell: Cell, power_down: PowerDown) -> None:
    """Bring the server down if a command asked for it."""
    power = cell.control / "power"
    if power.exists():
        word = power.read_text().strip()
        power.unlink()
        await power_down(word)


def _exit_status(work: asyncio.Task[int], process: asyncssh.SSHServerProcess[bytes]) -> int:
    """Return the exit status; of a command that could not run at all, its client gets the reason."""
    if work.cancelled():
        return 255
    error = work.exception()
    if error is None:
        return work.result()
    with contextlib.suppress(OSError, asyncssh.Error):
        process.stderr.write(f"rescue stand-in: {error}\n".encode())
    return 255
