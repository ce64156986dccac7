"""Run an external builder, which takes minutes, and log its output line by line.

What belongs here: the running. What may be believed of its exit status and its output stands with each method.
"""

import logging
import os
import re
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import IO

from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.programs import ProgramFailed, find_program, running

REDACTED = "[redacted]"
_LOG = logging.getLogger("hyops.build")
_READ_BYTES = 1 << 16
_TICK_SECONDS = 1.0
_MOST_LATE_BYTES = 1 << 20
"""More than a pipe holds (pipe(7)): what follows a program's end is of another that it left behind."""
_TAIL_LINES = 400
_LONGEST_LINE = 4096
_MOST_NOTED = 200
_LONGEST_CAUSE = 1000
_SHORTEST_SECRET = 4
# Standard input is held open by the builder's parent: its end is that process' end. A parent death signal
# would reach the builder alone, and Packer's guest is a child of its child's child.
_LEASH = """\
exec 3<&0 </dev/null
{ read -r <&3; kill -KILL 0; } >/dev/null 2>&1 &
exec 3<&- "$@"
"""


class Transcript:
    """What a builder printed: its last lines, secrets left out.

    Args:
        secrets: what is left out.
        noted: lines in which this is found are kept from the beginning on, however much follows; those in which its
            group `cause` took part say why a builder failed.
    """

    def __init__(self, secrets: Sequence[str] = (), noted: re.Pattern[str] | None = None) -> None:
        # The longest first: one secret may contain another. What is shorter than a secret can be ("1", "yes") stays.
        self._secrets = sorted((text for text in secrets if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._open = b""
        self._noted = noted
        self.size_bytes = 0
        self.noted: list[str] = []

    @property
    def text(self) -> str:
        """The last lines."""
        return "\n".join(self._lines)

    def tail(self, lines: int = 12) -> str:
        """Return the last lines that hold text."""
        return "\n".join([line for line in self._lines if line.strip()][-lines:])

    def because(self) -> str:
        """Return the first line that says why it failed, behind a colon; nothing where none was noted."""
        return "".join(f": {line[:_LONGEST_CAUSE]}" for line in self.causes()[:1])

    def causes(self) -> list[str]:
        """Return the noted lines that say why it failed, the first one first."""
        found = [(line, self._noted.search(line)) for line in self.noted] if self._noted else []
        return [line for line, match in found if match and match["cause"] is not None]

    def add(self, printed: bytes) -> None:
        """Take what was read; whole lines go to the log."""
        self.size_bytes += len(printed)
        *whole, self._open = (self._open + printed).split(b"\n")
        for line in whole:
            self._keep(line)
        if len(self._open) > _LONGEST_LINE:
            self._keep(self._open)
            self._open = b""

    def end(self) -> None:
        """Take the last line, which may have no end."""
        if self._open:
            self._keep(self._open)
            self._open = b""

    def redacted(self, text: str) -> str:
        """Return a text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def _keep(self, line: bytes) -> None:
        text = self.redacted(line.decode(errors="replace").rstrip("\r"))
        self._lines.append(text)
        if self._noted and len(self.noted) < _MOST_NOTED and self._noted.search(text):
            self.noted.append(text)
        _LOG.info("%s", text)


@contextmanager
def mortal(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> Iterator[Popen[bytes]]:
    """Run a builder for as long as the block lasts, both its outputs in one place.

    It dies with this process, and all that it started dies with it: what lived on after a kill would hold loop
    devices, and a guest the processor.

    Raises:
        MissingProgram: it is not installed.
    """
    words = [os.fspath(word) for word in argv]
    command = ["bash", "-c", _LEASH, "bash", find_program(words[0]), *words[1:]]
    with running(command, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.STDOUT) as process:
        yield process


def run_logged(
    argv: Sequence[str | os.PathLike[str]],
    *,
    stage: str,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    secrets: Sequence[str] = (),
    noted: re.Pattern[str] | None = None,
    progress: Progress = silent,
) -> Transcript:
    """Run a builder to its end and return what it printed.

    A builder that cleans up after a failure says something else last: where something is noted, an error quotes the
    first line of it before the last ones.

    Args:
        argv: the program's name and arguments.
        stage: under which progress is reported the bytes that it printed, every second at least.
        timeout: seconds until it is stopped.
        env: added to the minimal environment.
        cwd: working directory.
        secrets: what must not stand in the log nor in an error.
        noted: lines to keep, as for `Transcript`.
        progress: cancels by raising; the builder's whole process group is then stopped.

    Raises:
        MissingProgram: it is not installed.
        ProgramFailed: an exit status other than 0, or the time ran out; carries the last lines.
    """
    transcript = Transcript(secrets, noted)
    words = [os.fspath(argv[0])]
    with mortal(argv, env=env, cwd=cwd) as process:
        deadline = time.monotonic() + timeout
        for printed in printed_by(process, deadline):
            transcript.add(printed)
            progress(stage, transcript.size_bytes, None)
        transcript.end()
        if process.poll() is None:
            raise ProgramFailed(words, f"did not end within {timeout:.0f} s{transcript.because()}", transcript.tail())
        if status := process.wait():
            raise ProgramFailed(words, f"failed with exit status {status}{transcript.because()}", transcript.tail())
    return transcript


def printed_by(process: Popen[bytes], deadline: float) -> Iterator[bytes]:
    """Yield what a program prints, nothing at least once a second, until it has ended or the deadline passed.

    The end is the program's own, not that of its pipe: a background process that it leaves behind may hold that
    open for ever.
    """
    if process.stdout is None:
        raise AssertionError
    descriptor, late_bytes = process.stdout.fileno(), 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            # Asked before reading: what it printed before it ended is then still read.
            ended = process.poll() is not None
            ready = selector.select(0 if ended else min(left, _TICK_SECONDS))
            printed = os.read(descriptor, _READ_BYTES) if ready else b""
            late_bytes += len(printed) if ended else 0
            if ended and (not printed or late_bytes > _MOST_LATE_BYTES):
                return
            if ready and not printed:
                # It closed its output and works on.
                selector.unregister(descriptor)
            yield printed
