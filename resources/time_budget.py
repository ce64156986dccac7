"""One budget of seconds for several exchanges that have to be over together."""

import time

from hyops_assets.contract.errors import TransientError


class NoTimeLeft(TransientError):
    """What had to be over by now took all the time; nothing further is asked."""


class TimeBudget:
    """So many seconds from now on.

    Args:
        seconds: in all.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + seconds

    def share(self, among: int = 1) -> float:
        """Return what one of so many has of the rest, in seconds.

        Raises:
            NoTimeLeft: nothing is left.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise NoTimeLeft(
                f"no time is left of {self._seconds:g} s", hint="it is asked again later; look why servers are slow"
            )
        return left / max(1, among)
