"""How long to wait for a site, and how often to ask: what means the same at every cloud."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Timeouts:
    """All in seconds. A cloud says how long each is, and adds its own: tests and slow days can change them.

    Attributes:
        request: for one HTTP answer.
        outage: for an API that does not answer to answer again; only what may be repeated is asked again.
        first_poll: until the first repeated question; each pause is half as long again, up to `longest_poll`.
        longest_poll: between two questions, at most.
        lifetime: after which what is in the making counts as a leftover; longer than all the waits of a seed.
    """

    request: float
    outage: float
    first_poll: float
    longest_poll: float
    lifetime: float

    def poll(self, ask: Callable[[], Found | None], *, within: float) -> Found | None:
        """Ask until there is an answer; None where there was none within so many seconds."""
        deadline = time.monotonic() + within
        pause = self.first_poll
        while True:
            if (found := ask()) is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, self.longest_poll)
