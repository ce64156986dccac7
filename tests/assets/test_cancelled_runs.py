"""A run that is told to stop in the middle of a step: nothing runs on, nothing lies about, the next run goes on."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from hyops_assets.assets.steps import LOGGER
from hyops_assets.cli.lab import SITE
from tests import processes
from tests.assets.house import RELEASE, House
from tests.assets.test_killed_runs import leftovers

BUILD_STAGES = [
    ("vyos_iso", "download"),
    ("vyos_iso", "verify the signature"),
    ("vyos_iso", "hash the ISO"),
    ("qcow2_record", "take the ISO apart"),
    ("qcow2_record", "verify the ISO's files"),
    ("qcow2_record", "packages"),
    ("qcow2_record", "overlay"),
    ("qcow2_record", "extract"),
    ("qcow2_record", "root file system"),
    ("qcow2_record", "encode qcow2"),
    ("raw_xz_record", "encode raw.xz"),
    ("published_contract", "read back"),
]
SEED_STAGES = [("hetzner_image", "write"), ("hetzner_image", "read back")]


class Interruption(logging.Handler):
    """Sends what Ctrl-C sends, once, when a step reports a stage."""

    def __init__(self, step: str, stage: str) -> None:
        super().__init__(logging.DEBUG)
        self._at = (step, stage)
        self.sent = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.sent and (vars(record).get("step"), vars(record).get("stage")) == self._at:
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def interrupted(step: str, stage: str) -> Iterator[None]:
    handler = Interruption(step, stage)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
        assert handler.sent, f"{step} never reported {stage!r}"
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)


@pytest.mark.slow
def test_a_run_that_is_cancelled_at_any_stage_leaves_nothing_behind_and_the_next_goes_on(home: House) -> None:
    graph = home.graph()
    for step, stage in BUILD_STAGES:
        with interrupted(step, stage):
            graph.build(RELEASE)
        assert list((home.root.artifacts / "scratch").glob("*")) == [], stage
        assert processes.naming(home.root.artifacts) == {}, stage
        assert not [name for name in home.published() if name.endswith("record.json")], stage
    graph.build(RELEASE)
    for step, stage in SEED_STAGES:
        with interrupted(step, stage):
            graph.seed_hetzner(SITE, RELEASE)
        assert leftovers(home)["servers"] == 0, stage
    home.seed_everywhere(graph)

    assert sum(name.endswith("record.json") for name in home.published()) == 1
    assert leftovers(home) == {"servers": 0, "keys": 0, "images": 1, "machines": 1}
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    assert home.instance.get_runs(unfinished) == []
