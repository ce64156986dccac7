"""Turns at booting: how many guests this host emulates at once, whichever process or environment asks.

An emulated guest fills a core for minutes. With more guests than cores none ends sooner, and a sound one comes near
the limits after which it counts as hung. Dagster's queue counts only the runs that pass through it: none of a shell's.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from hyops_assets.contract.progress import WAITING, Progress, silent
from hyops_assets.image.boot.together import Pause, Paused, alone
from hyops_assets.image.private import make_own_directory

_LOOK_EVERY_SECONDS = 0.5


def host_directory() -> Path:
    """Return where this user's locks lie: the same for every environment and every shell on this host.

    Whatever TMPDIR says: two shells that differ in it share the processors.
    """
    return Path("/tmp") / f"hyops-{os.getuid()}"  # noqa: S108 - owner and kind are looked at before it is used


def taken(
    directory: Path, *, at_once: int, progress: Progress = silent, look_every: float = _LOOK_EVERY_SECONDS
) -> Paused[AbstractContextManager[None]]:
    """Wait until one of a host's turns is free, and take it: it is held until the returned context ends.

    The kernel frees the turn of a holder that dies.

    Args:
        directory: of the locks; made where it is missing.
        at_once: turns there are. A caller that names more has the further ones to itself.
        progress: called with whom it waits for, at every look; what it raises ends the waiting.
        look_every: seconds between two looks.

    Raises:
        ForeignDirectory: the directory is not this user's alone.
    """
    # Of another user's locks every one could be held for ever.
    make_own_directory(directory)
    # The further ones first: a caller that names fewer turns can take none of them.
    locks = [directory / f"boot-{number}.lock" for number in reversed(range(at_once))]
    while (holding := _hold_one(locks)) is None:
        progress(f"{WAITING}the guest of {' and '.join(map(_holder, locks))} ({at_once} at once emulated)", 0, None)
        yield Pause(look_every)
    return _held(holding)


@contextmanager
def turn(
    directory: Path, *, at_once: int, progress: Progress = silent, look_every: float = _LOOK_EVERY_SECONDS
) -> Iterator[None]:
    """Hold a turn for as long as the block lasts: `taken`, where nothing else goes on meanwhile."""
    with alone(taken(directory, at_once=at_once, progress=progress, look_every=look_every)):
        yield


@contextmanager
def _held(turn: int) -> Iterator[None]:
    try:
        os.ftruncate(turn, 0)
        os.write(turn, f"process {os.getpid()}".encode())
        yield
    finally:
        # What the file says is of the last holder: only the lock tells whether there is one.
        os.close(turn)


def _hold_one(locks: list[Path]) -> int | None:
    """Lock the first free file and return its descriptor, which no child inherits."""
    for lock in locks:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        # A sweeper of old files may have removed it between the two calls: then no other process would find it held.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)
    return None


def _holder(lock: Path) -> str:
    try:
        return lock.read_text() or "another process"
    except FileNotFoundError:
        return "another process"
