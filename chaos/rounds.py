"""One round: a run is killed at a point, run again, and run a third time. What then stands is judged."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from chaos.clouds import Cloud
from chaos.environment import ChaosEnvironment, Ended
from chaos.points import Point, points_of
from hyops_assets.contract.record import Record
from hyops_lab.ensemble import Ensemble
from hyops_lab.trace import Request
from resources.states.store import StateStore

_ATTEMPTS = 3


@dataclass(frozen=True)
class Round:
    """What happened at one point.

    Attributes:
        point: where the first run was to be killed.
        killed: whether it was; a point that a run does not come to proves nothing.
        remained: what stood in the cloud when it was dead.
        outcome: what the second run says that it did.
        mutations: changing calls of the third run.
        problems: everything that is not as it should be; empty is good.
        seconds: of the whole round.
    """

    point: Point
    killed: bool
    remained: str = ""
    outcome: str = ""
    mutations: int = 0
    problems: Sequence[str] = field(default_factory=list[str])
    seconds: float = 0.0

    def __str__(self) -> str:
        line = f"{self.point}: {self.remained or 'nothing'} -> {self.outcome or 'failed'}"
        return " | ".join([line, *self.problems])


def record_trace(environment: ChaosEnvironment, cloud: Cloud) -> list[Point]:
    """Run a seed that is not killed and return the points of its trace.

    Raises:
        RuntimeError: it did not create what it should.
    """
    environment.restore()
    with environment.serving() as lab:
        before = len(lab.files.trace().requests())
        ended = environment.run(lab, cloud.work)
        requests = lab.files.trace().requests()[before:]
        if ended.outcome != "created":
            message = f"an undisturbed seed: {ended.outcome or ended.failure}"
            raise RuntimeError(message)
    return points_of(requests)


def play(environment: ChaosEnvironment, cloud: Cloud, record: Record, point: Point) -> Round:
    """Play one round; where the run did not come to its point, as a late poll may be missed, from the start again."""
    for _ in range(_ATTEMPTS - 1):
        played = _play(environment, cloud, record, point)
        if played.killed:
            return played
    return _play(environment, cloud, record, point)


def _play(environment: ChaosEnvironment, cloud: Cloud, record: Record, point: Point) -> Round:
    """Play one round on a fresh site.

    The second run is started as the UI's run worker starts it, on an instance where the killed run still counts as
    started; the third as the shell does.
    """
    begun = time.monotonic()
    environment.restore()
    with environment.serving() as lab:
        first = environment.run(lab, cloud.work, at=point)
        if not first.killed:
            return Round(point, killed=False, outcome=first.outcome, problems=[f"never came to it: {first}"])
        remained, committed = cloud.standing(lab), cloud.is_ready(lab)
        second = environment.run(lab, cloud.work, by_shell=False)
        problems = [*_lies(second, committed=committed), *cloud.problems(lab, record)]
        mark = len(lab.files.trace().requests())
        third = environment.run(lab, cloud.work)
        asked = [request for request in lab.files.trace().requests()[mark:] if _changes(request)]
        if third.outcome != "adopted":
            problems.append(f"third run: {third.outcome or third.failure}")
        problems += [f"third run: {request.method} {request.path}" for request in asked]
        problems += _left_behind(environment, lab, cloud, [first, second, third])
    seconds = time.monotonic() - begun
    return Round(
        point,
        killed=True,
        remained=remained,
        outcome=second.outcome,
        mutations=len(asked),
        problems=problems,
        seconds=seconds,
    )


def _changes(request: Request) -> bool:
    return request.mutating or request.system == "rescue"


def _lies(second: Ended, *, committed: bool) -> Iterator[str]:
    """Yield where the second run failed, or says that it did what it did not."""
    if second.failure:
        yield f"second run: {second.failure}"
    elif committed and second.outcome == "created":
        yield "second run says created; it was there, ready"
    elif not committed and second.outcome == "adopted":
        yield "second run says adopted; nothing was ready"


def _left_behind(environment: ChaosEnvironment, lab: Ensemble, cloud: Cloud, runs: Sequence[Ended]) -> Iterator[str]:
    """Yield what runs left on this host: processes, files, runs that never end, a state that says otherwise."""
    groups = {run.process_group for run in runs}
    for pid, session, command in _processes():
        if session in groups or str(environment.directory) in command:
            yield f"process {pid} is left: {command}"
    for room in (environment.root.artifacts / "scratch", environment.temporary):
        yield from (f"left on this host: {path}" for path in room.glob("*"))
    with dg.DagsterInstance.from_config(str(environment.root.dagster_home)) as instance:
        for run in instance.get_runs():
            if not run.is_finished:
                yield f"run {run.run_id} never ended: {run.status.value}"
    state = StateStore(environment.root).find(cloud.state)
    if state is None or state.status != "ok":
        yield f"state {cloud.state}: {state.status if state else 'none'}"


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield number, session and command line of every process that is not dead already."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            # proc_pid_stat(5): the name stands in parentheses; then state, parent, group, session.
            state, _, _, session, *_ = (directory / "stat").read_text().rsplit(")", 1)[1].split()
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            yield int(directory.name), int(session), command
