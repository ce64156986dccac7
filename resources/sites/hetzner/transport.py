"""How a request travels to Hetzner: at the pace that the API asks for, a second time where that is safe, by its clock.

The `hcloud` library repeats what was refused for its rate five times within half a minute, whatever the answer's
headers say; nothing that got no answer; and it does not report what time it is at Hetzner. All three are seen here,
below the library, where the headers are.
"""

import random
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from hcloud import Client

from resources.bounded_requests import BoundedAdapter
from resources.sites.hetzner.errors import RateLimited
from resources.sites.hetzner.timeouts import HetznerTimeouts

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be repeated whether or not the first request did its work (RFC 9110, section 9.2.2)."""

_PASSING = frozenset({500, 503})
"""502 and 504 the library repeats by itself."""


def travelling(client: Client, timeouts: HetznerTimeouts) -> "PatientAdapter":
    """Have all requests of a client travel patiently, and return what they travel by.

    The library offers no way to be given a session; a test holds that this is where it keeps its own.
    """
    adapter = PatientAdapter(timeouts)
    for scheme in ("https://", "http://"):
        client._client._session.mount(scheme, adapter)
    return adapter


class PatientAdapter(BoundedAdapter):
    """Sends requests; waits where the API asks for it, and knows the API's clock."""

    def __init__(self, timeouts: HetznerTimeouts) -> None:
        super().__init__(timeouts.request)
        self._timeouts = timeouts
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time at Hetzner, in epoch seconds, as the last answer said it: this host's clock may be wrong."""
        return time.time() + self._ahead

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request until it is answered otherwise than "later".

        Raises:
            RateLimited: the API was still refusing for its rate after `timeouts.rate` seconds.
            requests.RequestException: no answer, as the library expects it.
        """
        started = time.monotonic()
        pause = self._timeouts.first_poll
        while True:
            again = request.method in _IDEMPOTENT and time.monotonic() - started < self._timeouts.outage
            try:
                response = super().send(request, *args, **options)
            except requests.Timeout:
                # The library's own business: it repeats them, whatever the method.
                raise
            except requests.ConnectionError:
                if not again:
                    raise
            else:
                self._set_clock(response)
                if response.status_code == 429:
                    pause = self._require_worthwhile(response, started, pause)
                elif response.status_code not in _PASSING or not again:
                    return response
                response.close()
            time.sleep(pause)
            pause = min(pause * 1.5, self._timeouts.longest_poll)

    def _require_worthwhile(self, response: requests.Response, started: float, pause: float) -> float:
        """Return how long to wait for the next request to be granted, if that is still worth waiting for."""
        pause = pace(response.headers, now=self.now(), at_least=pause)
        waited = time.monotonic() - started
        if waited + pause > self._timeouts.rate:
            reset = response.headers.get("RateLimit-Reset", "")
            until = f", until {_clock_time(float(reset))}" if reset.isdecimal() else ""
            raise RateLimited(
                f"Hetzner refuses further requests for this project (429) since {waited:.0f} s{until}: "
                f"{response.headers.get('RateLimit-Limit', 'all')} an hour are used up",
                hint="try again later, and look who else uses the project's tokens",
            )
        return pause

    def _set_clock(self, response: requests.Response) -> None:
        try:
            theirs = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return
        self._ahead = theirs.replace(tzinfo=theirs.tzinfo or UTC).timestamp() - time.time()


def pace(headers: Mapping[str, str], *, now: float, at_least: float) -> float:
    """Return how many seconds to wait after a 429 (https://docs.hetzner.cloud/reference/cloud, "Rate Limiting").

    Requests come back one by one until `RateLimit-Reset`, when all of them are back: one is awaited, at most all.
    Some chance is added, for several sites of one project that were refused together.

    Args:
        headers: of the answer.
        now: epoch seconds, by the clock that wrote the headers.
        at_least: what would be waited without headers; nothing shorter is, while that is not past the reset.
    """
    try:
        limit, left, reset = (float(headers[f"RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    except (KeyError, ValueError):
        return at_least
    all_back = max(0.0, reset - now)
    one_back = all_back / max(1.0, limit - left)
    # Not for secrets: two refused clients should not come back in the same instant.
    return max(one_back, min(at_least, all_back)) * random.uniform(1.0, 1.25)  # noqa: S311


def _clock_time(epoch: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(epoch))
