"""Documents that were handed over to runs: removed once no run needs them, and only those that are ours."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.assets.leftovers import working_with
from hyops_assets.assets.run_liveness import RunProcess
from hyops_assets.contract.handed_over import Errand, HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from resources.handed_over import HANDED_OVER_TAG, HandedOverRoom, NotHandedOver
from resources.handed_over_remains import KEPT_SECONDS, HandedOverRemains

ERRAND = Errand(job="seed_hetzner", partition="lab|2026.03")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Home:
    def __init__(self, root: RuntimeRoot, instance: dg.DagsterInstance) -> None:
        self.root = root
        self.room = HandedOverRoom(root)
        self.instance = instance

    def hand_over(self, command: str = "true") -> str:
        return self.room.write(ERRAND, HandedOver(seed_command=command))

    def run(self, digest: str, status: dg.DagsterRunStatus, process: RunProcess | None = None) -> None:
        run_id = f"run-{status.value}-{digest[:8]}"
        tags = {HANDED_OVER_TAG: digest} | (process.tag(run_id) if process else {})
        self.instance.add_run(dg.DagsterRun(job_name=ERRAND.job, run_id=run_id, status=status, tags=tags))

    def remains(self, clock: Callable[[], float] = lambda: time.time() + KEPT_SECONDS + 60) -> HandedOverRemains:
        return HandedOverRemains(self.room, user_of=lambda digest: working_with(self.instance, digest), clock=clock)

    def verdicts(self, clock: Callable[[], float] | None = None) -> dict[str, str]:
        found = (self.remains(clock) if clock else self.remains()).reap()
        return {finding.what.removeprefix("handed over "): finding.verdict for finding in found}


@pytest.fixture
def home(tmp_path: Path, instance: dg.DagsterInstance) -> Home:
    return Home(RuntimeRoot(tmp_path / "dev"), instance)


def test_a_document_goes_when_its_runs_have_ended_and_a_day_has_passed(home: Home) -> None:
    digest = home.hand_over()
    home.run(digest, dg.DagsterRunStatus.SUCCESS)
    home.run(digest, dg.DagsterRunStatus.FAILURE)
    assert home.verdicts(time.time) == {f"{digest}.json": "keep"}

    (planned,) = home.remains().find()
    assert (planned.verdict, home.room.path(digest).exists()) == ("remove", True)
    assert home.verdicts() == {f"{digest}.json": "removed"}
    assert home.remains().find() == []

    with pytest.raises(NotHandedOver, match="is not here: it was removed"):
        home.room.read(digest, ERRAND)
    # The key stays: what is handed over next is believed as before.
    assert home.room.read(home.hand_over(), ERRAND).seed_command == "true"


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED]
)
def test_what_an_unfinished_run_names_stays_however_old_it_is(home: Home, status: dg.DagsterRunStatus) -> None:
    digest = home.hand_over()
    home.run(digest, status)
    assert home.verdicts() == {f"{digest}.json": "keep"}
    assert home.room.read(digest, ERRAND)


def test_a_killed_run_keeps_nothing(home: Home) -> None:
    digest = home.hand_over()
    here = RunProcess.this()
    home.run(digest, dg.DagsterRunStatus.STARTED, RunProcess(here.host, "another boot", "1", "1", "1"))
    assert home.verdicts() == {f"{digest}.json": "removed"}


def test_what_is_handed_over_once_more_is_young_again(home: Home) -> None:
    path = home.room.path(home.hand_over())
    os.utime(path, (1, 1))
    home.hand_over()
    assert home.verdicts(time.time) == {path.name: "keep"}


def test_what_is_not_proven_ours_is_left_and_named(home: Home, tmp_path: Path) -> None:
    digest = home.hand_over()
    other = HandedOverRoom(RuntimeRoot(tmp_path / "other"))
    foreign = other.path(other.write(ERRAND, HandedOver(seed_command="another's")))
    room = home.room.path(digest).parent
    (room / foreign.name).write_bytes(foreign.read_bytes())
    (room / f"{'0' * 64}.json").write_text("changed")
    (room / f"{'1' * 64}.json").symlink_to(tmp_path / "target")
    (tmp_path / "target").write_text("kept")
    (room / f"{'2' * 64}.json").mkdir()
    (room / "notes.txt").write_text("an operator's")
    (room / ".new-0123456789abcdef").write_text("half")

    left = {"notes.txt", foreign.name, *(f"{digit * 64}.json" for digit in "012")}
    assert home.verdicts() == (
        dict.fromkeys(left, "by hand") | {f"{digest}.json": "removed", ".new-0123456789abcdef": "removed"}
    )
    assert {path.name for path in room.iterdir()} == left | {"key"}
    assert (tmp_path / "target").read_text() == "kept"


def test_without_a_key_nothing_is_proven_ours(home: Home) -> None:
    path = home.room.path(home.hand_over())
    path.with_name("key").unlink()
    assert home.verdicts() == {path.name: "by hand"}


def test_an_environment_that_was_handed_nothing_has_nothing_and_gets_no_room(home: Home) -> None:
    assert home.remains().find() == []
    assert not home.root.handed_over.exists()
