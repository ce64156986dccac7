"""The one way to run a program on bytes from elsewhere: never without limits, ended as soon as one is passed.

What belongs here: limits of time, memory, output and files. Starting and stopping belongs to `programs.py`. The
kernel holds a program to its limits (setrlimit(2), through prlimit(1)); what it prints is counted as it comes.
"""

import math
import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hyops_assets.image.budget import Budget, OverBudget
from hyops_assets.image.programs import Completed, ProgramFailed, ending_of, find_program, running

_PIECE_BYTES = 1 << 20
_MOST_SAID_BYTES = 4 << 20
_ASK_EVERY_SECONDS = 0.2
_STACK_BYTES = 2 << 20
"""Of each thread: with the usual 8 MiB, a program's threads alone would use its memory up."""


@dataclass(frozen=True)
class Limits:
    """What a program may take that reads bytes from elsewhere.

    Attributes:
        seconds: of processor time, the same on a busy machine as on an idle one.
        output_bytes: what it prints to standard output, in all.
        memory_bytes: its private memory, RLIMIT_DATA.
        file_bytes: the largest file that it writes, standard output among them where that is a file.
        wall_seconds: until it is ended whatever it does, waiting for a disk for example.
    """

    seconds: float = 60
    output_bytes: int = 1 << 20
    memory_bytes: int = 256 << 20
    file_bytes: int = 1 << 20
    wall_seconds: float = 600


def run_bounded(
    argv: Sequence[str | os.PathLike[str]],
    *,
    limits: Limits,
    budget: Budget | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
    ok: Sequence[int] = (0,),
    waiting: Callable[[], None] | None = None,
) -> Completed:
    """Run a program on bytes from elsewhere to its end and return what it printed.

    It takes the arguments of `stream_bounded`, and raises as that does.
    """
    said: list[str] = []
    with closing(
        stream_bounded(
            argv,
            limits=limits,
            budget=budget,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            ok=ok,
            waiting=waiting,
            said=said.append,
        )
    ) as pieces:
        printed = b"".join(pieces)
    return Completed(printed, said[0])


def stream_bounded(
    argv: Sequence[str | os.PathLike[str]],
    *,
    limits: Limits,
    budget: Budget | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
    ok: Sequence[int] = (0,),
    waiting: Callable[[], None] | None = None,
    said: Callable[[str], None] | None = None,
) -> Generator[bytes, None, None]:
    """Run a program on bytes from elsewhere; yield what it prints as it prints it, in pieces of at most 1 MiB.

    Closing the generator stops the program: hold it with `contextlib.closing` where the loop may raise.

    Args:
        argv: the program's name and arguments; never a shell line.
        limits: what it may take.
        budget: pays for the program, its seconds and its output.
        env: added to the minimal environment.
        cwd: working directory.
        stdin: bytes for its standard input.
        stdout: takes what it prints, instead of the answer.
        ok: exit statuses that mean success.
        waiting: called a few times a second until it ends; what it raises stops the program and goes through.
        said: given what stood on standard error, once the program ended well.

    Raises:
        MissingProgram: it is not installed.
        OverBudget: it passed a limit and was ended.
        ProgramFailed: another exit status than those; carries the last lines of its standard error.
    """
    words = [os.fspath(word) for word in argv]
    if budget:
        budget.spend("programs", 1, words[0])
    started = time.monotonic()
    wall = min(limits.wall_seconds, budget.left("seconds")) if budget else limits.wall_seconds
    errors = bytearray()
    try:
        with ExitStack() as stack:
            source = stack.enter_context(_holding(stdin)) if stdin else subprocess.DEVNULL
            process = stack.enter_context(
                running(_held(words, limits), env=env, cwd=cwd, stdin=source, stdout=stdout or subprocess.PIPE)
            )
            output = 0
            for piece in _printed(process, words[0], errors, waiting, started + wall):
                output += len(piece)
                if output > limits.output_bytes:
                    raise OverBudget(f"what {words[0]} prints", f"{limits.output_bytes} bytes")
                if budget:
                    budget.spend("bytes", len(piece), f"what {words[0]} prints")
                yield piece
            status = process.wait(max(started + wall - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired as error:
        raise OverBudget(words[0], f"{wall:.0f} seconds") from error
    finally:
        if budget:
            budget.note("seconds", time.monotonic() - started)
    printed = errors.decode(errors="replace")
    if status not in ok:
        raise _failure(words, status, limits, printed)
    if said:
        said(printed)


def lines_of(pieces: Iterable[bytes], *, most_bytes: int) -> Iterator[bytes]:
    """Yield the lines of what a program prints, without their line breaks.

    Raises:
        OverBudget: a line is longer than `most_bytes`.
    """
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > most_bytes:
            raise OverBudget("one line of a listing", f"{most_bytes} bytes")
    if rest:
        yield rest


def _held(words: Sequence[str], limits: Limits) -> list[str]:
    """Return the command line that runs a program under its limits, and ends it with the one who waits for it."""
    seconds = _at_most(resource.RLIMIT_CPU, math.ceil(limits.seconds))
    bounds = [
        f"--cpu={seconds}:{_at_most(resource.RLIMIT_CPU, seconds + 2)}",
        f"--data={_at_most(resource.RLIMIT_DATA, limits.memory_bytes)}",
        f"--stack={_at_most(resource.RLIMIT_STACK, _STACK_BYTES)}",
        f"--fsize={_at_most(resource.RLIMIT_FSIZE, limits.file_bytes)}",
        "--core=0",
    ]
    return ["setpriv", "--pdeathsig", "KILL", find_program("prlimit"), *bounds, find_program(words[0]), *words[1:]]


def _at_most(kind: int, wanted: int) -> int:
    """Return a limit that never exceeds the one that holds already."""
    allowed = [limit for limit in resource.getrlimit(kind) if limit != resource.RLIM_INFINITY]
    return min(wanted, *allowed) if allowed else wanted


def _holding(content: bytes) -> IO[bytes]:
    """Return a file to read from: a pipe would have to be fed while the program prints."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - its caller closes it
    file.write(content)
    file.seek(0)
    return file


def _printed(
    process: subprocess.Popen[bytes],
    name: str,
    errors: bytearray,
    waiting: Callable[[], None] | None,
    end: float,
) -> Iterator[bytes]:
    """Yield standard output and keep standard error until both are closed.

    Raises:
        TimeoutExpired: the time is over.
        OverBudget: it complains without end.
    """
    with selectors.DefaultSelector() as ready:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            if waiting:
                waiting()
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(name, 0)
            for key, _ in ready.select(min(left, _ASK_EVERY_SECONDS) if waiting else left):
                piece = os.read(key.fd, _PIECE_BYTES)
                if not piece:
                    ready.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    yield piece
                else:
                    errors += piece
                    if len(errors) > _MOST_SAID_BYTES:
                        raise OverBudget(f"what {name} complains of", f"{_MOST_SAID_BYTES} bytes")


def _failure(words: Sequence[str], status: int, limits: Limits, printed: str) -> OverBudget | ProgramFailed:
    """Say why a program ended: by its own decision, or at a limit of ours."""
    if status == -signal.SIGXCPU:
        return OverBudget(words[0], f"{limits.seconds:.0f} seconds of a processor")
    # Where the host's own limit is lower, it is the host that has no room.
    if status == -signal.SIGXFSZ and _at_most(resource.RLIMIT_FSIZE, limits.file_bytes + 1) > limits.file_bytes:
        return OverBudget(f"a file that {words[0]} writes", f"{limits.file_bytes} bytes")
    return ProgramFailed(words, ending_of(status), printed)
