"""Ground that is made once per test run and shared by all workers of that run.

A session fixture runs once in every worker of pytest-xdist. What is expensive and only read is made here instead: the
first worker that asks makes it under a file lock, the others wait and take the same directory. What a test changes it
copies before.
"""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from tests.suite.clock import Seconds

_spent = Seconds()
_asking = 0


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a directory of this test run that `make` filled, in whichever worker came first.

    The directory is where it was made: absolute paths in it stay true. Only its path is shared, so that a fixture
    builds its objects from what lies there.

    Args:
        tmp_path_factory: pytest's fixture of that name.
        name: says what it is; one name, one thing, in the whole suite.
        make: fills the empty directory that it is given. What it raises goes to the test that asked; the next worker
            that asks tries again.
    """
    return made_once_below(run_directory(tmp_path_factory) / "ground", name, make)


def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the temporary directory that this test run has to itself and its workers share.

    Every run has one of its own, numbered by pytest, which keeps it locked until the run ends.
    """
    base = tmp_path_factory.getbasetemp()
    # The name that xdist gives a worker's own. A run that a test starts inherits the variable, but not the directory.
    return base.parent if base.name == f"popen-{os.environ.get('PYTEST_XDIST_WORKER')}" else base


def made_once_below(ground: Path, name: str, make: Callable[[Path], object]) -> Path:
    """Return the directory that `make` filled below `ground`, in whichever process came first.

    A maker that is killed leaves a directory that nothing names as finished: the next one begins anew beside it, as
    a program that the dead one started may still write there.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise ValueError(f"{name!r} does not name ground: lower case, digits, dots and dashes")
    ground.mkdir(exist_ok=True, mode=0o700)
    finished = ground / f"{name}.finished"
    # The kernel frees the lock of a process that dies.
    with _spending(), FileLock(ground / f"{name}.lock"):
        if finished.exists():
            return ground / json.loads(finished.read_text())["directory"]
        directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=ground))
        began = time.monotonic()
        try:
            make(directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        facts = {"directory": directory.name, "seconds": time.monotonic() - began, "maker": os.getpid()}
        partial = finished.with_suffix(".partial")
        partial.write_text(json.dumps(facts))
        partial.rename(finished)
        return directory


def seconds_of_ground(run: Path) -> dict[str, float]:
    """Return how long each piece of a run's ground took to make, by its name. A run without any has none."""
    return {file.stem: json.loads(file.read_text())["seconds"] for file in sorted((run / "ground").glob("*.finished"))}


def spent() -> Seconds:
    """Return what this process spent on shared ground so far: making it, or waiting for the worker that does.

    The test that happened to ask first is not slow for it (tests/suite/pace.py).
    """
    return _spent


@contextmanager
def _spending() -> Iterator[None]:
    """Count the block as spent. Ground that is made from other ground counts once."""
    global _asking, _spent
    began = Seconds.now()
    _asking += 1
    try:
        yield
    finally:
        _asking -= 1
        if not _asking:
            _spent += Seconds.now() - began
