"""A root shell in a server's rescue system: connecting, running one command, feeding and reading it.

The host key cannot be known beforehand (the rescue system makes one at each boot, and the API tells none): it is
pinned at the first connection, and a later one with another key is refused. That proves nothing yet: `proof.py` binds
the key to the server before anything that the host says is believed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from hyops_assets.contract.errors import said_by_system
from resources.sites.hetzner.errors import NotRescue, RescueNotReached, WriteFailed
from resources.sites.hetzner.patience import Patience
from resources.sites.hetzner.proof import Secrets

CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 4096
_MOST_BYTES = 1 << 16
"""Of a command's stdout. Reports are a few lines; a host that prints without end is no rescue system."""

Heard = Callable[[str], None]
"""Called with each piece of what a command prints to stderr."""


@dataclass(frozen=True)
class Ended:
    """A command that ended: exit status (255 where the connection broke), stdout, and the tail of stderr."""

    status: int
    stdout: str
    stderr: str


@dataclass
class Login:
    """How to get into one server: the attempt's own key, what it proves itself by, the host key once it is known."""

    address: str
    port: int
    private_key: asyncssh.SSHKey = field(repr=False)
    secrets: Secrets
    pinned: asyncssh.SSHKey | None = field(default=None, repr=False)

    def expect_boot(self, root_password: str) -> None:
        """Expect another boot of the rescue system: a new host key, and this password."""
        self.pinned = None
        self.secrets.root_password = root_password


class _Pinning(asyncssh.SSHClient):
    def __init__(self, login: Login) -> None:
        self._login = login

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if self._login.pinned is None:
            self._login.pinned = key
        return key.public_data == self._login.pinned.public_data


class Shell:
    """A connection that runs commands."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection

    @property
    def host_key(self) -> asyncssh.SSHKey:
        """The key that the host showed on this connection.

        Raises:
            NotRescue: it showed none.
        """
        key = self._connection.get_server_host_key()
        if key is None:
            raise NotRescue("the host shows no host key", hint="look who answers at the server's address")
        return key

    async def run(self, command: str, *, within: float, feed: Path | None = None, heard: Heard | None = None) -> Ended:
        """Run a command to its end.

        Args:
            command: one shell line.
            within: seconds until it is given up.
            feed: a file for its standard input.
            heard: called with what it prints to stderr, as it comes.

        Raises:
            WriteFailed: no end in time, more output than a report has, or the connection broke.
        """
        try:
            async with asyncio.timeout(within):
                return await self._run(command, feed, heard)
        except TimeoutError as error:
            raise WriteFailed(
                f"a command in the rescue system did not end within {within:.0f} s", hint="try again"
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise WriteFailed(
                f"the connection to the rescue system broke: {said_by_system(error)}", hint="try again"
            ) from error

    async def _run(self, command: str, feed: Path | None, heard: Heard | None) -> Ended:
        async with self._connection.create_process(command, encoding=None) as process:
            printed, complaints, _ = await asyncio.gather(
                _collect(process.stdout), _listen(process.stderr, heard), _feed(process.stdin, feed)
            )
            await process.wait_closed()
            status = process.returncode
        return Ended(255 if status is None else status, printed.decode(errors="replace"), complaints)


@asynccontextmanager
async def logged_in(login: Login, patience: Patience) -> AsyncIterator[Shell]:
    """Log in as soon as the server lets us, for as long as the block lasts.

    Raises:
        RescueNotReached: it did not let the caller in within `patience.ssh` seconds.
    """
    connection = await _connect(login, patience)
    async with connection:
        yield Shell(connection)


async def _connect(login: Login, patience: Patience) -> asyncssh.SSHClientConnection:
    deadline = time.monotonic() + patience.ssh
    pause = patience.first_poll
    while True:
        try:
            return await asyncssh.connect(
                login.address,
                login.port,
                username="root",
                client_keys=[login.private_key],
                client_factory=lambda: _Pinning(login),
                known_hosts=b"",
                # Nothing of the user's own: no configuration, no agent, no password prompts.
                config=None,
                agent_path=None,
                preferred_auth="publickey",
                connect_timeout=15,
                login_timeout=30,
                keepalive_interval=15,
                keepalive_count_max=8,
            )
        except (OSError, asyncssh.Error) as error:
            if time.monotonic() >= deadline:
                raise RescueNotReached(
                    f"{login.address}:{login.port} refused logins for {patience.ssh:.0f} s: {said_by_system(error)}",
                    hint="try again; look at the server's console if it happens again",
                ) from error
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, patience.longest_poll)


async def _collect(stream: asyncssh.SSHReader[bytes]) -> bytes:
    printed = b""
    while data := await stream.read(_TAIL_BYTES):
        printed += data
        if len(printed) > _MOST_BYTES:
            raise WriteFailed(
                f"a command in the rescue system printed more than {_MOST_BYTES} bytes", hint="look who answers there"
            )
    return printed


async def _listen(stream: asyncssh.SSHReader[bytes], heard: Heard | None) -> str:
    tail = b""
    while data := await stream.read(_TAIL_BYTES):
        tail = (tail + data)[-_TAIL_BYTES:]
        if heard is not None:
            heard(data.decode(errors="replace"))
    return tail.decode(errors="replace")


async def _feed(stream: asyncssh.SSHWriter[bytes], file: Path | None) -> None:
    try:
        if file is not None:
            with file.open("rb", buffering=0) as source:
                while chunk := await asyncio.to_thread(source.read, CHUNK_BYTES):
                    stream.write(chunk)
                    await stream.drain()
        stream.write_eof()
    except (BrokenPipeError, asyncssh.Error):
        # The command ended before its input did; its exit status says why.
        return
