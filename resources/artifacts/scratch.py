"""Scratch directories that do not outlive their process for long: held by their creator, swept once none does."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_below(directory: Path, purpose: str) -> Iterator[Path]:
    """Yield an empty directory of mode 0700, removed afterwards; first sweep those that no process holds.

    Args:
        directory: where it is made; everything in it is a scratch directory.
        purpose: what its name starts with.
    """
    # One sweeper or creator at a time: a directory that no process holds yet looks like a leftover.
    with _held(directory):
        _sweep(directory)
        mine = Path(tempfile.mkdtemp(dir=directory, prefix=f"{purpose}-"))
        holding = _hold(mine, fcntl.LOCK_EX)
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)
        os.close(holding)


def find_unheld(directory: Path) -> list[Path]:
    """Return the scratch directories that no process holds, sorted; none where the directory is not there."""
    try:
        with _held(directory):
            found = list(_unheld(directory))
            for _, holding in found:
                os.close(holding)
    except FileNotFoundError:
        # Not asked before: its last user may remove the directory in between.
        return []
    return sorted(path for path, _ in found)


def sweep(directory: Path) -> list[Path]:
    """Try to remove the scratch directories that no process holds, and return those that were tried, sorted."""
    try:
        with _held(directory):
            return sorted(_sweep(directory))
    except FileNotFoundError:
        return []


def _sweep(directory: Path) -> list[Path]:
    swept: list[Path] = []
    for left, holding in _unheld(directory):
        shutil.rmtree(left, ignore_errors=True)
        os.close(holding)
        swept.append(left)
    return swept


def _unheld(directory: Path) -> Iterator[tuple[Path, int]]:
    """Yield each scratch directory that no process holds, and the descriptor that holds it now.

    The kernel frees what a killed process held. Its process id would tell less: it may have been given to another,
    and says nothing between containers that share this directory.
    """
    for left in list(directory.iterdir()):
        try:
            holding = _hold(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            continue
        yield left, holding


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    holding = _hold(directory, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(holding)


def _hold(directory: Path, how: int) -> int:
    """Lock a directory until the returned descriptor is closed, or its process ends."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
