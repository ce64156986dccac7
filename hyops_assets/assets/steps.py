"""A step of the graph: a line at its end in the event log, and what follows from how it failed.

What a step tells while it runs, the shell's lines, is of `hyops_assets/contract/steps.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from hyops_assets.assets.run_liveness import is_by_shell, note_process
from hyops_assets.contract.errors import LeadsNowhere, TransientError
from hyops_assets.contract.steps import LOGGER, Step, timed
from hyops_assets.contract.version import BadVersion, RecordVersion
from resources.error_border import said_of

RETRIES = 2
RETRY_SECONDS = 60.0
"""Long enough for another run to end its step, or for a service to come back."""


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
def step(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, name: str, *, at: str = ""
) -> Iterator[Step]:
    """Time a step of the graph; its outcome stands in the run's event log, and in the run who executes it.

    In a run that the daemon or the UI launched, a step that failed for a passing reason is tried again. One whose
    version or site leads nowhere says how the partition is forgotten.
    """
    note_process(context.instance, context.run)
    with timed(name, at) as current:
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
