"""A root shell in a server's rescue system: connecting, running one command, feeding and reading it.

Asynchronous inside; `run_session` is the door for a caller that is not.

The host key cannot be known beforehand (the rescue system makes one at each boot, and the API tells none): it is
pinned at the first connection, and a later one with another key is refused. That proves nothing yet: `proof.py` binds
the key to the server before anything that the host says is believed.
"""

import asyncio
import shlex
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import asyncssh

from hyops_assets.contract.errors import said_by_system
from hyops_assets.contract.progress import Progress
from resources.sites.hetzner.errors import NotRescue, RescueNotReached, WriteFailed
from resources.sites.hetzner.proof import Secrets
from resources.sites.hetzner.timeouts import HetznerTimeouts

CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 4096
_MOST_BYTES = 1 << 16
"""Of a command's stdout. Reports are a few lines; a host that prints without end is no rescue system."""

Result = TypeVar("Result")
_Line = tuple[str, int, int | None]
_Started = tuple[asyncio.AbstractEventLoop, "asyncio.Task[Any]"]

Heard = Callable[[str], None]
"""Called with each piece of what a command prints to stderr."""


@dataclass(frozen=True)
class Ended:
    """A command that ended: exit status (255 where the connection broke), stdout, and the tail of stderr."""

    status: int
    stdout: str
    stderr: str


def command_line(script: str, *parameters: str) -> str:
    """Return the line that runs a script with parameters; nothing in them is read by a shell."""
    return shlex.join(["bash", "-c", script, "seed", *parameters])


def values_of(text: str) -> dict[str, str]:
    """Return the `name=value` lines that a script printed; later ones win."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip() for name, _, value in pairs}


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
async def logged_in(login: Login, timeouts: HetznerTimeouts) -> AsyncIterator[Shell]:
    """Log in as soon as the server lets us, for as long as the block lasts.

    Raises:
        RescueNotReached: it did not let the caller in within `timeouts.ssh` seconds.
    """
    connection = await _connect(login, timeouts)
    async with connection:
        yield Shell(connection)


async def _connect(login: Login, timeouts: HetznerTimeouts) -> asyncssh.SSHClientConnection:
    deadline = time.monotonic() + timeouts.ssh
    pause = timeouts.first_poll
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
                    f"{login.address}:{login.port} refused logins for {timeouts.ssh:.0f} s: {said_by_system(error)}",
                    hint="try again; look at the server's console if it happens again",
                ) from error
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, timeouts.longest_poll)


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


def run_session(work: Callable[[Progress], Coroutine[Any, Any, Result]], progress: Progress) -> Result:
    """Run asynchronous work to its end, and report its progress from the calling thread.

    Dagster interrupts a run by raising from a signal handler, in the main thread. Inside an event loop that tears
    whatever callback is running; here it arrives between two reports, and the work is cancelled in good order. The
    same holds for what `progress` raises.
    """
    reports: SimpleQueue[_Line | None] = SimpleQueue()
    started: Future[_Started] = Future()

    async def session() -> Result:
        task = asyncio.current_task()
        if task is not None:
            started.set_result((asyncio.get_running_loop(), task))
        return await work(lambda stage, done, total: reports.put((stage, done, total)))

    with ThreadPoolExecutor(1, thread_name_prefix="rescue") as pool:
        outcome = pool.submit(lambda: asyncio.run(session()))
        outcome.add_done_callback(lambda _: reports.put(None))
        try:
            while (report := reports.get()) is not None:
                progress(*report)
            return outcome.result()
        except BaseException:
            loop, task = started.result()
            # Closed: the work ended by itself meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
            raise
