"""How a step of the pipeline tells what it does: live progress for a shell, and how it ended.

The shell listens on the logger `hyops.steps`; records carry `step`, `at`, `step_id` (no other running one), `stage`,
`done`, `total` (bytes) while a step runs, and `step`, `step_id`, `outcome`, `size_bytes`, `seconds` when it ended.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("hyops.steps")
LOGGER.addHandler(logging.NullHandler())
BEGUN = "start"
"""The stage of a step that has said nothing yet."""
_PERIOD_SECONDS = 0.2


class Step:
    """One step of the pipeline while it runs: a `Progress`, and where its outcome is noted."""

    def __init__(self, name: str, at: str = "") -> None:
        self.name = name
        self.at = at
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
            self._report(stage, done, total)

    def begin(self) -> None:
        """Report that the step has begun."""
        self._report(BEGUN, 0, None)

    def _report(self, stage: str, done: int, total: int | None) -> None:
        of_step = {"step": self.name, "at": self.at, "step_id": id(self)}
        LOGGER.debug("%s", stage, extra={**of_step, "stage": stage, "done": done, "total": total})

    def ended(self, outcome: str, size_bytes: int) -> None:
        """Note how the step ended (`built`, `adopted`, …) and how many bytes its result has."""
        self.outcome = outcome
        self.size_bytes = size_bytes


@contextmanager
def timed(name: str, at: str = "") -> Iterator[Step]:
    """Announce a step, hand out its progress, and report its outcome, bytes and seconds to the logger's listeners.

    One that raises is reported as `failed`, or as `stopped` where it was ended from outside.

    Args:
        name: of the step.
        at: the site that it works at, where others may work at theirs at the same time.
    """
    current = Step(name, at)
    start = time.monotonic()
    current.begin()
    try:
        yield current
    except BaseException as error:
        current.ended("failed" if isinstance(error, Exception) else "stopped", 0)
        raise
    finally:
        current.seconds = time.monotonic() - start
        _report_end(current)


def _report_end(current: Step) -> None:
    name = current.name
    LOGGER.info(
        "%s %s",
        name,
        current.outcome,
        extra={
            "step": name,
            "step_id": id(current),
            "outcome": current.outcome,
            "size_bytes": current.size_bytes,
            "seconds": current.seconds,
        },
    )
