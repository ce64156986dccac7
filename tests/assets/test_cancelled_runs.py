"""A run that is told to stop in the middle of a step: nothing runs on, nothing lies about, the next run goes on."""

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from hyops_assets.cli.apply import ended_as_by_hand
from hyops_assets.contract.steps import LOGGER
from hyops_assets.image.boot.accelerator import Accelerator
from hyops_assets.image.boot.turns import turn
from hyops_lab.cli.lab import SITE
from resources.boot import BootGate
from tests import processes
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.test_killed_runs import leftovers
from tests.clouds import HETZNER

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
SHORT = {"download", "root file system", "encode raw.xz", "read back"}
SEED_STAGES = [("hetzner_image", "write"), ("hetzner_image", "read back")]


class Interruption(logging.Handler):
    """Sends what Ctrl-C sends, or another signal, once, when a step reports a stage that begins like this."""

    def __init__(self, step: str, stage: str, sign: signal.Signals) -> None:
        super().__init__(logging.DEBUG)
        self._step, self._stage, self._sign = step, stage, sign
        self.sent = False

    def emit(self, record: logging.LogRecord) -> None:
        told = vars(record)
        if not self.sent and told.get("step") == self._step and str(told.get("stage")).startswith(self._stage):
            self.sent = True
            os.kill(os.getpid(), self._sign)


@contextmanager
def interrupted(step: str, stage: str, sign: signal.Signals = signal.SIGINT) -> Iterator[None]:
    handler = Interruption(step, stage, sign)
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


@pytest.mark.long
def test_a_build_that_is_cancelled_at_any_stage_leaves_nothing_behind_and_the_next_goes_on(
    home: LabEnvironment,
) -> None:
    cancel_and_go_on(home, BUILD_STAGES)


@pytest.mark.slow
def test_a_build_that_is_cancelled_leaves_nothing_behind_and_the_next_goes_on(home: LabEnvironment) -> None:
    """The stages at which something else is open each: a download, a program, threads, the repository."""
    cancel_and_go_on(home, [one for one in BUILD_STAGES if one[1] in SHORT])


def cancel_and_go_on(home: LabEnvironment, stages: list[tuple[str, str]]) -> None:
    graph = home.graph()
    for step, stage in stages:
        with interrupted(step, stage):
            graph.build(RELEASE)
        assert list((home.root.artifacts / "scratch").glob("*")) == [], stage
        assert processes.naming(home.root.artifacts) == {}, stage
        assert not [name for name in home.published() if name.endswith("record.json")], stage
    graph.build(RELEASE)
    assert sum(name.endswith("record.json") for name in home.published()) == 1
    require_all_ended(home)


@pytest.mark.slow
def test_a_seed_that_is_cancelled_leaves_no_server_behind_and_the_next_goes_on(published: LabEnvironment) -> None:
    home, graph = published, published.graph()
    for step, stage in SEED_STAGES:
        with interrupted(step, stage):
            graph.seed(HETZNER, SITE, RELEASE)
        assert leftovers(home)["servers"] == 0, stage
    graph.seed(HETZNER, SITE, RELEASE)
    assert leftovers(home) == {"servers": 0, "keys": 0, "images": 1, "machines": 0}
    require_all_ended(home)


def require_all_ended(home: LabEnvironment) -> None:
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    assert home.instance.get_runs(unfinished) == []


@pytest.mark.slow
def test_a_run_that_waits_for_its_turn_to_boot_can_be_cancelled(built: LabEnvironment) -> None:
    home = built
    shutil.rmtree(home.root.artifacts / "documents" / "gates" / "boots_bios")
    locks = home.root.path / "turns"
    graph = home.graph(boot_gate=BootGate(locks=locks, emulated_at_once=1, probe=lambda: Accelerator("tcg", "test")))
    with turn(locks, at_once=1), ended_as_by_hand():
        for sign in (signal.SIGINT, signal.SIGTERM):
            with interrupted("boots_bios", f"wait for the guest of process {os.getpid()}", sign):
                graph.build(RELEASE)
            assert list((home.root.artifacts / "scratch").glob("*")) == []
    assert home.published() == {}
