"""Runs of the graph that are killed with their whole process group, each at one stage of one step.

A process loads Dagster once and forks for each run, so that nothing of one is left in the next. It reads lines
`ROOT<tab>STEP<tab>STAGE`, and answers each with the exit status of a run in a group of its own.

    with dooming() as doom:
        assert doom(root, "vyos_iso", "download") == -signal.SIGKILL
"""

import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.steps import LOGGER
from hyops_assets.seeds.partitions import CLOUDS
from hyops_lab.cli.lab import SITE
from tests.assets.environment import RELEASE, quick
from tests.unsynced import keep_connections_and_migrations, write_without_fsync

Doom = Callable[[RuntimeRoot, str, str], int]
"""Runs what a step belongs to, kills it at a stage, and returns its exit status, as `subprocess` gives it."""


@contextmanager
def dooming() -> Iterator[Doom]:
    """Yield what dooms runs, for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.assets.failing_runs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    to, answers = process.stdin, process.stdout

    def doom(root: RuntimeRoot, step: str, stage: str) -> int:
        to.write(f"{root.path}\t{step}\t{stage}\n")
        to.flush()
        return int(answers.readline())

    try:
        yield doom
    finally:
        to.close()
        process.wait()
        answers.close()


class _Killer(logging.Handler):
    """Kills when a step reports the stage: no `finally` runs, no buffer is written."""

    def __init__(self, step: str, stage: str) -> None:
        super().__init__(logging.DEBUG)
        self._at = (step, stage)

    def emit(self, record: logging.LogRecord) -> None:
        if (vars(record).get("step"), vars(record).get("stage")) == self._at:
            os.killpg(os.getpgid(0), signal.SIGKILL)


def _run(root: RuntimeRoot, step: str, stage: str) -> None:
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(_Killer(step, stage))
    graph = Graph(root, open_instance(root), overrides=quick())
    for cloud in CLOUDS:
        if cloud.spec.asset == step:
            graph.seed(cloud, SITE, RELEASE)
            return
    graph.build(RELEASE)


def _in_a_group_of_its_own(root: RuntimeRoot, step: str, stage: str) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            _run(root, step, stage)
        except BaseException:  # noqa: BLE001 - the child must not return into the loop
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _serve() -> None:
    for line in sys.stdin:
        root, step, stage = line.rstrip("\n").split("\t")
        sys.stdout.write(f"{_in_a_group_of_its_own(RuntimeRoot(Path(root)), step, stage)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    write_without_fsync()
    keep_connections_and_migrations()
    _serve()
