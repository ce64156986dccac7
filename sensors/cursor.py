"""What a tick of the release sensor remembers for the next one, and how patient it is with a feed that fails."""

from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from hyops_assets.contract.version import ReleaseLine
from resources.feed.parse import Release

LONGEST_WAIT = timedelta(hours=6)
TURN_RED_AFTER = 3
"""So many failed polls in a row make red ticks: a dead feed must not look like a quiet one."""
_LONGEST_TROUBLE = 1000


class Cursor(BaseModel):
    """The feed's validator, the newest releases seen, what waits, how often the feed failed in a row.

    Partitions are the memory of versions: the cursor does not grow with them.

    Attributes:
        newest: newest release of each line that was ever seen.
        passed: up to this release of each line, those that are no partitions were passed over on purpose.
        waiting: releases that are to be built, and were not asked for yet.
        asked: when a build of each line was last asked for.
        refused: what of the feed was refused when it was last read, in words.
        trouble: why the last poll failed.
        failed_at: when that was.
        not_before: the feed is left alone until then.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    etag: str | None = None
    url: str | None = None
    newest: dict[ReleaseLine, str] = {}
    passed: dict[ReleaseLine, str] = {}
    waiting: tuple[Release, ...] = ()
    asked: dict[ReleaseLine, datetime] = {}
    refused: str = ""
    failures: int = 0
    trouble: str = ""
    failed_at: datetime | None = None
    not_before: datetime | None = None

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the cursor of the last tick; a fresh one on the first, and where somebody wrote another text into it.

        Nothing is lost with it that partitions do not know, but for releases that waited.
        """
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            return cls()

    def but(self, **changes: Any) -> Self:
        """Return a copy with other values."""
        return self.model_copy(update=changes)

    @property
    def memory(self) -> tuple[object, ...]:
        """What must not be lost: a tick that changes it may not fail, for a failed tick keeps the former cursor."""
        return self.newest, self.passed, frozenset(release.version for release in self.waiting), self.asked

    def read(self, etag: str | None, url: str) -> Self:
        """Return this after a poll that was answered."""
        return self.but(etag=etag, url=url, failures=0, trouble="", failed_at=None, not_before=None)

    def failed(self, why: str, now: datetime, poll_seconds: int) -> Self:
        """Return this after a poll that failed: the next one is later each time, up to six hours."""
        failures = self.failures + 1
        wait = min(timedelta(seconds=poll_seconds) * 2 ** min(failures - 1, 16), LONGEST_WAIT)
        # At least two intervals once it counts as dead: the ticks between are red, and ask nobody.
        wait = max(wait, timedelta(seconds=poll_seconds) * (2 if failures >= TURN_RED_AFTER else 1))
        trouble = why[:_LONGEST_TROUBLE]
        return self.but(failures=failures, trouble=trouble, failed_at=now, not_before=now + wait)

    def resting(self, now: datetime) -> bool:
        """Tell whether the feed is left alone for now. A clock that went back does not make the pause longer."""
        if self.failed_at is None or self.not_before is None:
            return False
        return self.failed_at <= now < self.not_before

    @property
    def dead(self) -> bool:
        """Whether the feed failed so often that it counts as dead."""
        return self.failures >= TURN_RED_AFTER
