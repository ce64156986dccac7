"""Commands of `hyops` that start warm: forked from a process that has loaded every module, which takes seconds.

A command runs as `python -m tests.unsynced` would run it, threads and exit functions included, with its own
environment, directory, umask and streams. What happens before the first line of `hyops_assets/cli/main.py` is not
tried that way: tests of entry points, of imports and of how a process starts take a cold one.

    python -m tests.warm FD     answers requests on a listening socket until its other end is gone
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

CHECKOUT = Path(__file__).parents[1]
_MOST_REQUEST_BYTES = 1 << 20
_INTERPRETER = ("PYTHON", "LD_")
"""Variables that count when an interpreter starts: a command with one of these starts cold."""


class _Server:
    """The loaded process, started with the first command of this process and ended with it."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def ask(self, request: Mapping[str, Any], streams: Sequence[int]) -> socket.socket:
        """Start a command on these streams; its process id and its exit status come over the returned socket."""
        control = self._socket or self._start()
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [json.dumps(request).encode()], [*streams, theirs.fileno()])
        return ours

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_REQUEST_BYTES)
        with theirs:
            subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._socket = ours
        atexit.register(ours.close)
        return ours


_SERVER = _Server()


def may_start_warm(environ: Mapping[str, str], flags: Sequence[str]) -> bool:
    """Tell whether nothing is asked of the interpreter itself."""
    return not flags and not any(name.startswith(_INTERPRETER) for name in environ)


def run(
    environ: Mapping[str, str], words: Sequence[str], *, cwd: Path = CHECKOUT, within: float, umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run `hyops` to its end.

    Args:
        environ: all of its environment.
        words: its command line.
        cwd: where it runs.
        within: the seconds it may take.
        umask: its umask; -1 for this process' own.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    request = {"words": list(words), "environ": dict(environ), "cwd": str(cwd), "umask": umask}
    with (
        open(os.devnull) as nothing,  # noqa: PTH123 - a device
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        _SERVER.ask(request, [nothing.fileno(), stdout.fileno(), stderr.fileno()]) as answers,
    ):
        answers.settimeout(within)
        pid = int.from_bytes(_exactly(answers, 4))
        try:
            status = int.from_bytes(_exactly(answers, 4), signed=True)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(words), within) from None
        texts = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in (stdout, stderr)]
    return subprocess.CompletedProcess(["hyops", *words], status, *texts)


def _exactly(connection: socket.socket, count: int) -> bytes:
    """Receive so many bytes."""
    received = connection.recv(count, socket.MSG_WAITALL)
    if len(received) != count:
        raise EOFError("the warm process ended")
    return received


def _load() -> None:
    """Import what any command imports; not `main` itself, which then runs as a program."""
    from hyops_assets.cli.environment import ANNOUNCED

    for message in ANNOUNCED:
        warnings.filterwarnings("ignore", message=message)
    import hyops_assets.cli
    import resources

    for package in (hyops_assets.cli, resources):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name != "hyops_assets.cli.main":
                importlib.import_module(module.name)
    gc.collect()
    # No command walks over what was loaded, nor copies its pages.
    gc.freeze()


def _serve(control: socket.socket) -> list[str]:
    """Answer until the other end is gone; return, in the process of a command, that command's line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        asked, descriptors, _, _ = socket.recv_fds(control, _MOST_REQUEST_BYTES, 4)
        if not asked:
            sys.exit()
        answers = socket.socket(fileno=descriptors.pop())
        # Between the server and the command stands one process that waits for it and reports its end.
        if os.fork():
            answers.close()
            for descriptor in descriptors:
                os.close(descriptor)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        elif command := os.fork():
            control.close()
            _report(command, answers)
        else:
            control.close()
            answers.close()
            return _become(json.loads(asked), descriptors)


def _report(command: int, answers: socket.socket) -> None:
    """Send a command's process id, then what its exit status is to a shell that started it."""
    with contextlib.suppress(OSError):
        answers.sendall(command.to_bytes(4))
    status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    with contextlib.suppress(OSError):
        answers.sendall(status.to_bytes(4, signed=True))
    os._exit(0)


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> list[str]:
    """Make this process one that was started with this environment, directory, umask and these streams."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    if request["umask"] >= 0:
        os.umask(request["umask"])
    time.tzset()
    random.seed()
    tempfile.tempdir = None
    return request["words"]


def _end(ended: SystemExit) -> NoReturn:
    """End as the interpreter does, but for taking every module apart: half of what a short command costs."""
    if ended.code is not None and not isinstance(ended.code, int):
        raise ended
    threading._shutdown()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit((ended.code or 0) & 0xFF)


if __name__ == "__main__":
    from tests.unsynced import keep_connections_and_migrations, write_without_fsync

    write_without_fsync()
    _load()
    keep_connections_and_migrations()
    sys.argv[1:] = _serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module("hyops_assets.cli.main", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended)
