"""How long to wait for Hetzner, and how often to ask: one table, so that tests and slow days can change it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Patience:
    """All in seconds.

    Attributes:
        request: for one HTTP answer. hcloud repeats a request that timed out, five times.
        rate: for the API to grant a request again that it refused for the project's rate (429).
        outage: for an API that does not answer to answer again; only what may be repeated is asked again.
        first_poll: until the first repeated question; each pause is half as long again, up to `longest_poll`.
        longest_poll: 3,600 requests an hour is the project's limit, for all its users together.
        action: for one action other than a snapshot.
        snapshot: users report more than ten minutes for custom images.
        boot: until a started server is not off any more.
        ssh: until the rescue system lets us in.
        off: until a server that was asked to shut down is off.
        locked: for a resource to be free of its running actions.
        write: for the whole disk to be written, and again for it to be read back.
        lifetime: after which a seeder counts as a leftover; longer than all of the above together.
    """

    request: float = 60.0
    rate: float = 300.0
    outage: float = 60.0
    first_poll: float = 0.2
    longest_poll: float = 15.0
    action: float = 600.0
    snapshot: float = 2700.0
    boot: float = 60.0
    ssh: float = 300.0
    off: float = 60.0
    locked: float = 60.0
    write: float = 3600.0
    lifetime: float = 4 * 3600.0

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
