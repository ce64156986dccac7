"""How an asset tells what it does: a line at its end in the event log, and live progress for a shell.

The shell listens on the logger `hyops.steps`; records carry `step`, `stage`, `done`, `total` (bytes) while a step
runs, and `step`, `outcome`, `size_bytes`, `seconds` when it ended.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from hyops_assets.assets.executing import is_by_shell, note_process
from hyops_assets.contract.errors import LeadsNowhere, TransientError
from hyops_assets.contract.version import BadVersion, RecordVersion
from resources.border import said_of

LOGGER = logging.getLogger("hyops.steps")
LOGGER.addHandler(logging.NullHandler())
_PERIOD_SECONDS = 0.2
RETRIES = 2
RETRY_SECONDS = 60.0
"""Long enough for another run to end its step, or for a service to come back."""


class Step:
    """One step of the pipeline while it runs: a `Progress`, and where its outcome is noted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcome = "done"
        self.size_bytes = 0
        self.seconds = 0.0
        self._last = 0.0
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report progress; at most five times a second, but every stage's begin and end."""
        now = time.monotonic()
        if now - self._last >= _PERIOD_SECONDS or done == total or stage != self._stage:
            self._last = now
            self._stage = stage
            LOGGER.debug("%s", stage, extra={"step": self.name, "stage": stage, "done": done, "total": total})

    def ended(self, outcome: str, size_bytes: int) -> None:
        """Note how the step ended (`built`, `adopted`, …) and how many bytes its result has."""
        self.outcome = outcome
        self.size_bytes = size_bytes


@contextmanager
def timed(name: str) -> Iterator[Step]:
    """Announce a step, hand out its progress, and report its outcome, bytes and seconds to the logger's listeners."""
    current = Step(name)
    start = time.monotonic()
    LOGGER.debug("%s", name, extra={"step": name, "stage": "start", "done": 0, "total": None})
    yield current
    current.seconds = time.monotonic() - start
    LOGGER.info(
        "%s %s",
        name,
        current.outcome,
        extra={
            "step": name,
            "outcome": current.outcome,
            "size_bytes": current.size_bytes,
            "seconds": current.seconds,
        },
    )


def again(error: TransientError, *, wait_seconds: float = RETRY_SECONDS) -> dg.RetryRequested:
    """Return what has Dagster try a step again. Nothing else is retried, neither by op nor by run: facts, not luck.

    Every step finds what an earlier attempt did and goes on from there, so one more costs what is missing.
    """
    LOGGER.warning("tried again in %.0f s: %s", wait_seconds, said_of(error))
    return dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait_seconds)


def record_version(context: dg.AssetExecutionContext) -> RecordVersion:
    """Return the version that a run's partition names.

    Raises:
        BadVersion: it names none; the hint says how the partition is forgotten.
    """
    try:
        return RecordVersion.parse(context.partition_key)
    except BadVersion as error:
        error.of_partition(context.partition_key)
        raise


def _version_tag(run: dg.DagsterRun) -> str:
    """Return the version of a run's partition, as it was typed; empty where a run has a range of them."""
    return run.tags.get("dagster/partition/version") or run.tags.get("dagster/partition", "")


@contextmanager
def step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, name: str) -> Iterator[Step]:
    """Time a step of the graph; its outcome stands in the run's event log, and in the run who executes it.

    In a run that the daemon or the UI launched, a step that failed for a passing reason is tried again. One whose
    version or site leads nowhere says how the partition is forgotten.
    """
    note_process(context.instance, context.run)
    with timed(name) as current:
        try:
            yield current
        except LeadsNowhere as error:
            if version := _version_tag(context.run):
                error.of_partition(version)
            raise
        except TransientError as error:
            if is_by_shell(context.run):
                raise
            raise again(error) from error
    size = f"{current.size_bytes:,}"
    context.log.info("%s: %s, %s bytes, %.1f s", name, current.outcome, size, current.seconds)
