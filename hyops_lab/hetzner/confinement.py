"""One command of a rescue system, confined by bubblewrap: the host's programs, read-only, and one disk.

It sees no home, no state of the lab and no process of the host; the network is the host's, so that curl reaches
the lab's object server on loopback.
"""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.programs import MissingProgram, ProgramFailed, find_program, minimal_environment, run

_CHUNK_BYTES = 1 << 18
_PATH = "/opt/lab:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CA_BUNDLE = "/opt/lab-ca.pem"
_ETC = ("alternatives", "ssl", "ld.so.cache", "nsswitch.conf", "passwd", "group")
_NAMES = ("hosts", "resolv.conf")
"""Without them no name is resolved, and no server outside is asked."""

_START_SECONDS = 60.0
_NONE_STARTS = "no rescue system of the lab's Hetzner project can start on this host"
_ALLOW = (
    "sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0 (one of them exists "
    "here); in a container, allow user namespaces and leave /proc unmasked. Only the lab needs them"
)


class CellFailed(HyopsError):
    """This host confines no command as a server's are: bubblewrap is missing, or may not do it."""


Read = Callable[[int], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class Cell:
    """Where a command runs.

    Attributes:
        hostname: what `hostname` prints: `rescue`, or the server's name where its own system was booted.
        disk: the file that is `/dev/sda`.
        shims: the directory that comes first in `PATH`.
        etc: files of this boot that stand in /etc: `shadow`, and public host keys.
        metadata: a file that says where the server's metadata service listens.
        control: a writable directory at `/run/lab`; `power` appears there when the server is asked to go down.
        bundle: the CA bundle that curl trusts; the host's own where None.
        without: programs below /usr/bin that are missing there.
        resolves: whether names are resolved there.
    """

    hostname: str
    disk: Path
    shims: Path
    etc: Path
    metadata: Path
    control: Path
    bundle: Path | None
    without: frozenset[str] = frozenset()
    resolves: bool = True

    def argv(self, command: str) -> list[str]:
        """Return the command line that runs a shell command in the cell."""
        etc = (*_ETC, *(_NAMES if self.resolves else ()))
        words = [
            *(find_program("bwrap"), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
            *("--hostname", self.hostname, "--uid", "0", "--gid", "0"),
            *("--ro-bind", "/usr", "/usr"),
            *(word for name in ("bin", "sbin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")),
            *(word for name in etc for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")),
            *(word for name in sorted(self.without) for word in ("--ro-bind", "/dev/null", f"/usr/bin/{name}")),
            *("--ro-bind", str(self.etc / "shadow"), "/etc/shadow", "--ro-bind", str(self.etc / "ssh"), "/etc/ssh"),
            *("--ro-bind", str(self.metadata), "/opt/lab-metadata"),
            *("--proc", "/proc", "--dev", "/dev", "--bind", str(self.disk), "/dev/sda"),
            *("--tmpfs", "/root", "--tmpfs", "/tmp", "--tmpfs", "/run"),  # noqa: S108 - the cell's own
            *("--bind", str(self.control), "/run/lab", "--ro-bind", str(self.shims), "/opt/lab"),
            *("--clearenv", "--setenv", "PATH", _PATH, "--setenv", "HOME", "/root", "--chdir", "/root"),
            *("--die-with-parent", "--new-session"),
        ]
        if self.bundle is not None:
            words += ["--ro-bind", str(self.bundle), _CA_BUNDLE, "--setenv", "CURL_CA_BUNDLE", _CA_BUNDLE]
        return [*words, "bash", "-c", command]

    def require(self) -> None:
        """See that a command can run here, before a server says that it has booted.

        Raises:
            CellFailed: it cannot; the message carries what bubblewrap printed.
        """
        try:
            run(self.argv("true"), timeout=_START_SECONDS)
        except MissingProgram as error:
            raise CellFailed(f"{_NONE_STARTS}: {error.message}", hint=error.hint) from error
        except ProgramFailed as error:
            raise CellFailed(f"{_NONE_STARTS}: {' '.join(error.message.split())}", hint=_ALLOW) from error


def require_confinement() -> None:
    """See that this host can confine a command as those of the lab's servers are, in a cell of its own.

    Raises:
        CellFailed: it cannot: no server of the lab's Hetzner project would start.
    """
    with tempfile.TemporaryDirectory(prefix="hyops-cell-") as name:
        place = Path(name)
        for room in ("shims", "etc", "etc/ssh", "control"):
            (place / room).mkdir()
        for file in ("disk", "etc/shadow", "metadata"):
            (place / file).touch()
        Cell(
            hostname="rescue",
            disk=place / "disk",
            shims=place / "shims",
            etc=place / "etc",
            metadata=place / "metadata",
            control=place / "control",
            bundle=None,
        ).require()


async def run_confined(cell: Cell, command: str, *, stdin: Read, stdout: Write, stderr: Write) -> int:
    """Run a command and return its exit status as a shell would (128 + signal). Cancelled, it leaves no process.

    The three streams are copied by hand: handing asyncssh's channel over to a process lost input.
    """
    process = await asyncio.create_subprocess_exec(
        *cell.argv(command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=minimal_environment(),
        start_new_session=True,
    )
    into, out, err = process.stdin, process.stdout, process.stderr
    if into is None or out is None or err is None:
        raise RuntimeError("asyncio made no pipes")
    feeding = asyncio.create_task(_feed(stdin, into))
    try:
        await asyncio.gather(_drain(out, stdout), _drain(err, stderr))
        status = await process.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # asyncio closes a pipe at its end only: read what no other code will.
        into.close()
        await asyncio.gather(out.read(), err.read(), process.wait())
    return status if status >= 0 else 128 - status


async def _feed(read: Read, pipe: asyncio.StreamWriter) -> None:
    # A command that ends without reading all of its input is no error: cat | head does it.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while data := await read(_CHUNK_BYTES):
            pipe.write(data)
            await pipe.drain()
        pipe.close()


async def _drain(pipe: asyncio.StreamReader, write: Write) -> None:
    while data := await pipe.read(_CHUNK_BYTES):
        await write(data)
