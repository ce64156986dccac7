"""How much a piece of work does, counted in calls: a stopwatch would count what else the machine does, too."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls_of(work: Callable[[], object]) -> int:
    """Return how many calls, of Python's functions and of C's, a piece of work makes in this thread.

    The same work makes the same calls on a busy machine as on an idle one; seconds belong to `benchmarks/`.
    """
    calls = 0

    def count(_: FrameType, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls
