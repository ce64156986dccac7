"""The lab as a background process: started, asked for its environment, stopped.

Its tokens never touch a file: a client asks for them over a socket that only the same user can open.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from filelock import FileLock, Timeout

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.private import make_private_directory

_START_SECONDS = 180.0
"""A busy machine takes a minute to load the stand-ins; one that fails ends at once."""
_STOP_SECONDS = 20.0
_BOUND = "--bound"


class LabFailed(HyopsError):
    """The lab did not start; the message carries what it printed."""


@dataclass(frozen=True)
class RunningLab:
    """A lab process and the socket from which its environment is read."""

    pid: int
    socket: str

    def environment(self) -> dict[str, str]:
        """Read from the lab what a client's process needs in its environment.

        Raises:
            OSError: no process answers: the lab has ended.
        """
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(self.socket)
            content = b"".join(iter(lambda: client.recv(4096), b""))
        return json.loads(content)


def find(directory: Path) -> RunningLab | None:
    """Return the lab that serves this directory, or None where none answers."""
    try:
        found = RunningLab(**json.loads((directory / "running.json").read_text()))
        found.environment()
    except (OSError, ValueError, TypeError):
        return None
    return found


def start(directory: Path, *, bound: bool = False) -> RunningLab:
    """Start a lab in the background and wait until it serves; return the one that serves already.

    Args:
        directory: what the lab holds.
        bound: whether the lab ends with this process, however this process ends.

    Raises:
        LabFailed: it ended before it served, or took longer than three minutes.
    """
    make_private_directory(directory)
    try:
        # A process that starts it at the same moment waits, and finds the lab that the first one started.
        with FileLock(directory / "starting.lock", timeout=2 * _START_SECONDS):
            return find(directory) or _start(directory, bound=bound)
    except Timeout as error:
        raise LabFailed(
            f"another process is starting the lab in {directory}", hint="wait for it to end, then hyops lab up"
        ) from error


def _start(directory: Path, *, bound: bool) -> RunningLab:
    log = directory / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hyops_lab.process", str(directory), *([_BOUND] if bound else [])],
            # Nothing is written into it. Its end shows a bound lab that this process is gone, killed or not.
            stdin=subprocess.PIPE if bound else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        first_line = _first_line(process)
        found = find(directory) if first_line else None
    except BaseException:
        # Ctrl-C while waiting: no caller has learnt of this lab, so none would stop it.
        process.kill()
        raise
    if found is None:
        raise _failed(process, log, slow=first_line is None)
    return found


def _failed(process: subprocess.Popen[bytes], log: Path, *, slow: bool) -> LabFailed:
    """Return why a lab does not serve, and see that it ends: what it printed, or that it printed nothing in time."""
    process.kill()
    status = process.wait()
    printed = "\n".join(log.read_text(errors="replace").strip().splitlines()[-8:])
    why = f"it did not serve within {_START_SECONDS:.0f} s" if slow else f"it ended with status {status}"
    return LabFailed(
        f"the lab did not start: {why}" + (f":\n{printed}" if printed else ", and printed nothing"),
        hint="wait until this machine is less busy, then hyops lab up"
        if slow
        else "mend what it says, then hyops lab up",
    )


def _first_line(process: subprocess.Popen[bytes]) -> bytes | None:
    """Return the one line that a lab prints once it serves: empty where it ended before, None where it is too slow."""
    if process.stdout is None:
        return None
    with process.stdout as answer:
        return answer.readline() if select.select([answer], [], [], _START_SECONDS)[0] else None


def stop(directory: Path) -> bool:
    """Stop the lab that serves this directory and wait for its end; return whether there was one."""
    found = find(directory)
    if found is None:
        return False
    try:
        process = os.pidfd_open(found.pid)
    except ProcessLookupError:
        # It ended between its answer and this line.
        return True
    try:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(process, sign)
            if select.select([process], [], [], _STOP_SECONDS)[0]:
                break
    finally:
        os.close(process)
    return True


def serve(directory: Path, *, bound: bool) -> None:
    """Serve a lab until SIGTERM or SIGINT, or the end of standard input where it is bound to its starter.

    Prints `ready` once every stand-in listens.
    """
    # Loaded here: a process that only starts, finds or stops a lab does not wait for the servers' libraries.
    from hyops_lab.ensemble import Ensemble

    end = socket.socketpair()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: end[1].send(b"."))
    lock = FileLock(directory / "serving.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        print(f"another lab serves {directory}", file=sys.stderr)  # noqa: T201 - a process's own output
        raise SystemExit(1) from None
    ensemble = Ensemble(directory, gcs=True)
    with (
        ensemble.up(),
        tempfile.TemporaryDirectory(prefix="hyops-lab-") as private,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        # A directory of mode 0700: only this user reaches the socket. Its path must stay under 108 bytes.
        address = str(Path(private) / "environment")
        listener.bind(address)
        listener.listen()
        (directory / "running.json").write_text(json.dumps(asdict(RunningLab(os.getpid(), address))))
        print("ready", flush=True)  # noqa: T201
        ends = [end[0], sys.stdin] if bound else [end[0]]
        _send_to_clients(listener, json.dumps(ensemble.environment).encode(), ends)
    (directory / "running.json").unlink(missing_ok=True)


def _send_to_clients(listener: socket.socket, content: bytes, ends: Sequence[socket.socket | TextIO]) -> None:
    """Send the content to each client that connects, until one of `ends` can be read."""
    while True:
        readable, _, _ = select.select([listener, *ends], [], [])
        if any(end in readable for end in ends):
            return
        client, _ = listener.accept()
        with client:
            client.sendall(content)


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), bound=_BOUND in sys.argv[2:])
    except HyopsError as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
