"""`hyops` as a user runs it: a process in the checkout, with an environment of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests import warm

CHECKOUT = Path(__file__).parents[2]
HYOPS = [sys.executable, "-m", "tests.unsynced"]


def environment(home: Path) -> dict[str, str]:
    """What a login shell has: no variable of ours."""
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def hyops(
    environ: Mapping[str, str], *words: str | Path, flags: tuple[str, ...] = (), within: float = 120, umask: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; warm, unless flags or variables of the interpreter are asked for."""
    if warm.may_start_warm(environ, flags):
        return warm.run(environ, [str(word) for word in words], within=within, umask=umask)
    return subprocess.run(
        [HYOPS[0], *flags, *HYOPS[1:], *words],
        env=dict(environ),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
        umask=umask,
    )


@contextmanager
def hyops_in_a_terminal(environ: Mapping[str, str], *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command as a terminal starts it: a group of its own, in which Ctrl-C counts. Ended with the block."""
    process = subprocess.Popen(
        [*HYOPS, *words],
        env=dict(environ),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs have it ignored, and what they start inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def files_below(directory: Path) -> list[Path]:
    """Every regular file below a directory."""
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
