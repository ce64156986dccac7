"""72 hours in the life of a feed: what VyOS publishes, how its feed fails, how our clock and our daemon behave.

An hour is a row of choices; a world turns rows into documents, and keeps the book of what has to be built.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from hyops_assets.contract.version import iso_file_name, release_order
from resources.feed.watch import AHEAD

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 72
DOWNLOADS = "https://github.com/vyos/vyos-nightly-build/releases/download"
FORMER = DOWNLOADS.replace("vyos-nightly-build", "vyos-rolling-nightly-builds")
FUTURE = "2099.01.01-0000-rolling"


@dataclass(frozen=True)
class Hour:
    """What happens in one hour, in this order; every field is drawn."""

    publishes: bool
    listed: int
    feed: str
    behind: int
    daemon: str
    by_hand: int | None
    ended: int


QUIET = Hour(publishes=False, listed=1, feed="good", behind=0, daemon="runs", by_hand=None, ended=9)

_FEEDS = ["good"] * 6 + ["gone", "no JSON", "empty version", "rolled back", "moved", "future"]
_DAEMONS = ["runs"] * 8 + ["asleep", "events", "partitions", "runs killed", "cursor reset"]
_CLOCKS = [0] * 6 + [-3, 3, -50, 50]

hours = st.lists(
    st.builds(
        Hour,
        publishes=st.sampled_from([True, False, False]),
        listed=st.integers(1, 3),
        feed=st.sampled_from(_FEEDS),
        behind=st.sampled_from(_CLOCKS),
        daemon=st.sampled_from(_DAEMONS),
        by_hand=st.none() | st.none() | st.integers(0, 5),
        ended=st.integers(0, 2),
    ),
    min_size=HOURS,
    max_size=HOURS,
)


def entry(version: str, base: str = DOWNLOADS) -> dict[str, str]:
    built = release_order(version)[0]
    return {
        "url": f"{base}/{version}/{iso_file_name(version)}",
        "version": version,
        "timestamp": built.isoformat(),
    }


@dataclass
class World:
    """VyOS, and the book of what an environment that reads its feed has to build."""

    hour: int = 0
    published: list[str] = field(default_factory=lambda: ["2026.02.27-0027-rolling", "2026.02.28-0027-rolling"])
    newest_seen: str | None = None
    due: set[str] = field(default_factory=set)
    recovered: set[str] = field(default_factory=set)

    def document(self, hour: Hour) -> bytes | None:
        """Let an hour pass; return what the feed answers in it."""
        self.hour += 1
        if hour.publishes:
            self.published.append((BEGIN + self.hour * HOUR).strftime("%Y.%m.%d-%H%M-rolling"))
        named = self.published[-1 : -1 - hour.listed : -1]
        entries: list[Any] = [entry(version) for version in named]
        if hour.feed == "gone":
            return None
        if hour.feed == "no JSON":
            return b"<html>503</html>"
        if hour.feed == "rolled back":
            entries = [entry(version) for version in self.published[-3 : -3 - hour.listed : -1]] or entries[-1:]
        if hour.feed == "empty version":
            entries.insert(0, {"url": f"{DOWNLOADS}/vyos--generic-amd64.iso", "version": "", "timestamp": ""})
        if hour.feed == "moved":
            entries[0] = entry(named[0], FORMER)
        if hour.feed == "future":
            entries.insert(0, entry(FUTURE))
        return json.dumps(entries).encode()

    def clock(self, hour: Hour) -> datetime:
        """Return what our clock shows, which may be wrong by hours or days."""
        return BEGIN + self.hour * HOUR - hour.behind * HOUR

    def read(self, document: bytes, now: datetime) -> None:
        """Note what a poll that was answered makes due: of the first, the newest; then what is newer than all before.

        What is named for a time far ahead of our clock is not good yet.
        """
        versions = [one["version"] for one in json.loads(document) if one["version"]]
        good = [version for version in versions if release_order(version)[0] <= now + AHEAD]
        self.take([max(good)] if good and self.newest_seen is None else good)

    def take(self, versions: list[str]) -> None:
        """Note releases as due, as far as they are newer than everything seen."""
        new = [version for version in versions if self.newest_seen is None or version > self.newest_seen]
        self.due |= set(new)
        seen = [*new, *self.recovered, *([self.newest_seen] if self.newest_seen else [])]
        self.newest_seen, self.recovered = max(seen, default=None), set()

    def killed(self, asked: list[str]) -> None:
        """Note what a tick asked for before it was killed: due, and seen by the next tick that reads the feed."""
        if self.newest_seen is None:
            self.take(asked)
        self.due |= set(asked)
        self.recovered |= set(asked)

    def forget(self, announced: set[str], built: list[str]) -> None:
        """Note that a person reset the cursor: what was not asked for yet counts as seen only if it is read again."""
        self.due &= announced
        self.newest_seen = max(announced & set(built), default=max(announced, default=None))
        self.recovered = announced - set(built)
