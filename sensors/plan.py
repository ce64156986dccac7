"""What a poll of the feed leads to, decided in pure functions: no Dagster, no clock, no network."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from hyops_assets.contract.version import RecordVersion
from resources.feed.parse import Feed, Release

MAX_NEW_PER_TICK = 2
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Cursor(BaseModel):
    """What a tick remembers for the next: the feed's validator, its newest time, how often it failed in a row.

    The set of partitions is the memory of versions; the cursor does not grow.
    """

    model_config = ConfigDict(extra="ignore")

    etag: str | None = None
    url: str | None = None
    newest_seen: datetime | None = None
    failures: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Return the cursor of the last tick; a fresh one on the first."""
        return cls.model_validate_json(text) if text else cls()


@dataclass(frozen=True)
class Plan:
    """New releases to build, why others are not, and whether more wait for the next tick."""

    new: tuple[Release, ...]
    reason: str
    more: bool = False


def plan(feed: Feed, known: Collection[str]) -> Plan:
    """Decide which announced releases are built.

    A first poll takes the newest release only: history is built on demand. Later polls take what is new, oldest
    first, at most `MAX_NEW_PER_TICK`; the rest waits for the next tick. Refused entries never become releases; the
    reason names them.

    Args:
        feed: the parsed feed, good entries and refused ones.
        known: record versions that are partitions already.
    """
    built = {RecordVersion.parse(version).release for version in known}
    unseen = sorted(
        (release for release in feed.good if release.version not in built),
        key=lambda release: (release.timestamp or _LONG_AGO, release.version),
    )
    new = unseen[-1:] if not known else unseen[:MAX_NEW_PER_TICK]
    words = [f"new: {', '.join(release.version for release in new)}"] if new else ["no new release"]
    words += [f"refused entry {entry.position} ({entry.version}): {entry.reason}" for entry in feed.refused]
    waiting = len(unseen) - len(new) if known else 0
    if waiting:
        words.append(f"{waiting} more wait for the next tick")
    return Plan(tuple(new), "; ".join(words), more=waiting > 0)
