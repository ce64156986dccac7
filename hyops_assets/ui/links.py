"""Links into the UI: a code that opens it once, within a minute, for users who may read its private key.

The key lies in a file of mode 0600 for as long as the UI runs, so that another shell of the same user can ask for a
further link. A code carries its end and a nonce under an HMAC: the server keeps no list of those it gave out, only of
those that were used and would still be valid.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LIFETIME_SECONDS = 60
ENTRANCE = "/enter"
"""The path that takes a code. Dagster's UI has no page of this name."""

Clock = Callable[[], float]


def new_key() -> str:
    """Return a fresh key, as text for a private file."""
    return secrets.token_hex(32)


def link(address: str, key: str, *, clock: Clock = time.time) -> str:
    """Return a link that opens the UI at an address, once and within LIFETIME_SECONDS."""
    return f"{address}{ENTRANCE}?code={new_code(key, clock=clock)}"


def new_code(key: str, *, clock: Clock = time.time) -> str:
    """Return a code: `<end>.<nonce>.<mac>`, of characters that a URL takes as they are."""
    claim = f"{int(clock()) + LIFETIME_SECONDS}.{secrets.token_urlsafe(16)}"
    return f"{claim}.{_mac(key, claim)}"


@dataclass
class Entrance:
    """Redeems codes for sessions, and knows the sessions that it opened.

    Args:
        key: what codes are made with.
        clock: seconds since the epoch.
    """

    key: str = field(repr=False)
    clock: Clock = time.time
    _used: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    _sessions: set[str] = field(default_factory=set[str], repr=False)

    def redeem(self, code: str) -> str | None:
        """Return the cookie of a new session; None where the code is forged, used, or too old."""
        claim, _, mac = code.rpartition(".")
        if not (claim.isascii() and mac.isascii() and hmac.compare_digest(mac, _mac(self.key, claim))):
            return None
        end, now = int(claim.partition(".")[0]), int(self.clock())
        self._used = {used: until for used, until in self._used.items() if until >= now}
        if end < now or claim in self._used:
            return None
        self._used[claim] = end
        cookie = secrets.token_urlsafe(32)
        self._sessions.add(_digest(cookie))
        return cookie

    def knows(self, cookie: str) -> bool:
        """Tell whether a cookie belongs to a session of this server."""
        # By digest: how long a set's look-up takes then says nothing of a cookie that is right in part.
        return _digest(cookie) in self._sessions


def _mac(key: str, claim: str) -> str:
    return hmac.new(key.encode(), claim.encode(), hashlib.sha256).hexdigest()


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
