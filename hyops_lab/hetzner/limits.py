"""What a project may ask for: so many requests, with this token (https://docs.hetzner.cloud/reference/cloud).

"Rate Limiting": an hour's requests are a bucket that fills up again one by one; every answer tells how full it is.
"""

import hmac
import time
from dataclasses import dataclass, field


@dataclass
class RateLimit:
    """The bucket of requests. Hetzner's refills by one a second; the lab is in more of a hurry.

    Attributes:
        limit: how many requests it holds.
        per_second: how many come back in a second.
    """

    limit: int = 3600
    per_second: float = 50.0
    _left: float = field(default=-1.0, repr=False)
    _as_of: float = field(default_factory=time.monotonic, repr=False)

    def take(self) -> bool:
        """Take one request out; tell whether there was one."""
        self._refill()
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def drain(self) -> None:
        """Have another user of the project take all that is left."""
        self._refill()
        self._left = 0.0

    def headers(self, now: float) -> dict[str, str]:
        """Return what an answer says of it; `now` in epoch seconds."""
        self._refill()
        full = now + (self.limit - self._left) / self.per_second
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(int(self._left)),
            "RateLimit-Reset": str(int(full + 0.999)),
        }

    def _refill(self) -> None:
        now = time.monotonic()
        held = self.limit if self._left < 0 else self._left + (now - self._as_of) * self.per_second
        self._left, self._as_of = min(float(self.limit), held), now


@dataclass(frozen=True)
class Tokens:
    """The project's tokens: one for everything, and one that may only read, if any."""

    read_write: str = field(repr=False)
    read_only: str = field(default="", repr=False)

    def may_read(self, given: str) -> bool:
        """Tell whether a token is one of the project's."""
        return self.may_write(given) or (bool(self.read_only) and _same(given, self.read_only))

    def may_write(self, given: str) -> bool:
        """Tell whether a token may change something."""
        return _same(given, self.read_write)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
