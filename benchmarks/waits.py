"""Where a chain of runs spent the time in which no step worked, read in the event log of its instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import dagster as dg

_ENQUEUED, _STARTING = dg.DagsterEventType.RUN_ENQUEUED, dg.DagsterEventType.RUN_STARTING
_BEGINS, _ENDS = dg.DagsterEventType.STEP_START, (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE)


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of time, in seconds since 1970."""

    begin: float
    end: float


@dataclass(frozen=True)
class Ran:
    """A run, as its event log tells of it: when it was queued, when its process was started, and its steps.

    `name` is what a reader calls it: a run that the daemon requests for an asset has no job's name.
    """

    name: str
    enqueued: float
    launched: float
    steps: tuple[Span, ...]

    @classmethod
    def of(cls, name: str, instance: dg.DagsterInstance, run_id: str) -> Self:
        """Read a run's event log."""
        at: dict[object, float] = {}
        begun: dict[str, float] = {}
        steps: list[Span] = []
        for entry in instance.all_logs(run_id):
            event = entry.dagster_event
            if event is None:
                continue
            at.setdefault(event.event_type, entry.timestamp)
            if event.event_type is _BEGINS and event.step_key:
                begun[event.step_key] = entry.timestamp
            elif event.event_type in _ENDS and event.step_key:
                steps.append(Span(begun[event.step_key], entry.timestamp))
        return cls(name, at[_ENQUEUED], at[_STARTING], tuple(sorted(steps)))


def waits(begin: float, end: float, runs: Sequence[Ran]) -> Mapping[str, float]:
    """Return the seconds between two moments in which no step worked, by what was waited for.

    Args:
        begin: when what the first run is for was there.
        end: when the last run had made what is wanted; its step may go on.
        runs: each follows from the one before it.
    """
    spent: dict[str, float] = {}
    ready = begin
    for run in runs:
        steps = [Span(step.begin, min(step.end, end)) for step in run.steps if step.begin < end]
        spent[f"{run.name} asked for"] = run.enqueued - ready
        spent[f"{run.name} in the queue"] = run.launched - run.enqueued
        spent[f"{run.name} process and imports"] = steps[0].begin - run.launched
        ready = max(step.end for step in steps)
        spent[f"{run.name} between steps"] = ready - steps[0].begin - covered(steps)
    return spent


def covered(spans: Sequence[Span]) -> float:
    """Return the seconds that lie in at least one span: what overlaps counts once."""
    total, reached = 0.0, float("-inf")
    for span in sorted(spans):
        total += max(0.0, span.end - max(span.begin, reached))
        reached = max(reached, span.end)
    return total
