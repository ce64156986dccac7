"""Which runs are taken for killed: those whose process is certainly gone, and no others."""

import dataclasses
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest

from hyops_assets.assets.run_liveness import (
    PROCESS_TAG,
    RunProcess,
    fail_killed_runs,
    is_live,
    note_process,
)
from sensors.killed import killed_runs


@dg.job
def nothing() -> None:
    pass


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def started(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run that began and never ended."""
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)


def executed_by(instance: dg.DagsterInstance, process: RunProcess) -> dg.DagsterRun:
    run = started(instance)
    instance.add_run_tags(run.run_id, process.tag(run.run_id))
    return run


@contextmanager
def forked() -> Iterator[tuple[int, RunProcess]]:
    """A process that waits, and how it is named."""
    reading, writing = os.pipe()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, ":".join(dataclasses.astuple(RunProcess.this())).encode())
        os.read(reading, 1)
        os._exit(0)
    yield pid, RunProcess(*os.read(ours, 4096).decode().split(":"))
    for end in (reading, writing, ours, theirs):
        os.close(end)


def test_a_run_is_live_until_its_process_is_killed_even_before_anybody_waited_for_it(
    instance: dg.DagsterInstance,
) -> None:
    with forked() as (pid, process):
        run = executed_by(instance, process)
        assert is_live(instance, run.run_id)
        os.kill(pid, signal.SIGKILL)
        # A zombie: its parent has not asked for it yet.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not is_live(instance, run.run_id)
        os.waitpid(pid, 0)
        assert not is_live(instance, run.run_id)


def test_a_run_that_was_terminated_by_force_is_live_until_its_process_has_cleaned_up(
    instance: dg.DagsterInstance,
) -> None:
    with forked() as (pid, process):
        run = executed_by(instance, process)
        instance.report_run_canceled(run)
        assert is_live(instance, run.run_id)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not is_live(instance, run.run_id)


@pytest.mark.parametrize("place", ["host", "boot", "pid_space"])
def test_a_cancelled_run_whose_process_cannot_be_seen_is_over(instance: dg.DagsterInstance, place: str) -> None:
    elsewhere = dataclasses.replace(RunProcess.this(), **{place: "another"})
    run = executed_by(instance, elsewhere)
    instance.report_run_canceled(run)
    assert not is_live(instance, run.run_id)


def test_a_number_that_was_given_to_a_later_process_is_not_the_run(instance: dg.DagsterInstance) -> None:
    earlier = dataclasses.replace(RunProcess.this(), started="1")
    assert not is_live(instance, executed_by(instance, earlier).run_id)


def test_nothing_outlives_the_boot_of_its_host(instance: dg.DagsterInstance) -> None:
    before = dataclasses.replace(RunProcess.this(), boot="00000000-0000-0000-0000-000000000000")
    assert not is_live(instance, executed_by(instance, before).run_id)


@pytest.mark.parametrize("elsewhere", ["host", "pid_space"])
def test_a_process_that_cannot_be_seen_from_here_counts_as_live(instance: dg.DagsterInstance, elsewhere: str) -> None:
    unseen = dataclasses.replace(RunProcess.this(), **{elsewhere: "another", "started": "1"})
    run = executed_by(instance, unseen)
    assert is_live(instance, run.run_id)
    assert fail_killed_runs(instance) == []


def test_a_run_that_executes_another_again_is_not_taken_for_dead_by_the_tag_it_inherited(
    instance: dg.DagsterInstance,
) -> None:
    dead = dataclasses.replace(RunProcess.this(), started="1")
    first = executed_by(instance, dead)
    again = started(instance, tags=dead.tag(first.run_id))
    assert is_live(instance, again.run_id)
    assert fail_killed_runs(instance) == [first.run_id]


def test_runs_that_do_not_say_or_are_not_known_are_as_their_status_says(instance: dg.DagsterInstance) -> None:
    assert is_live(instance, started(instance).run_id)
    assert is_live(instance, "no-such-run") is None
    assert not is_live(instance, instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.SUCCESS).run_id)


def test_a_run_says_who_executes_it_whoever_launched_it(instance: dg.DagsterInstance) -> None:
    run = started(instance)
    note_process(instance, run)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.tags[PROCESS_TAG].startswith(f"{run.run_id}:")
    assert RunProcess.of(found) == RunProcess.this()


def test_the_sensor_marks_killed_runs_failed_and_leaves_the_others(instance: dg.DagsterInstance) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    killed = executed_by(instance, dataclasses.replace(RunProcess.this(), pid=str(gone.pid), started="1"))
    working = executed_by(instance, RunProcess.this())
    skipped = killed_runs()(dg.build_sensor_context(instance=instance))
    assert isinstance(skipped, dg.SkipReason)
    assert killed.run_id in (skipped.skip_message or "")
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses == {killed.run_id: dg.DagsterRunStatus.FAILURE, working.run_id: dg.DagsterRunStatus.STARTED}
