"""What a tick of the release sensor remembers for the next one, and how patient it is with a feed that fails."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hyops_assets.contract.foreign_json import parsed_json
from hyops_assets.contract.version import ReleaseLine
from resources.entity_tags import entity_tag
from resources.feed.parse import Release, ReleaseName

LONGEST_WAIT = timedelta(hours=6)
TURN_RED_AFTER = 3
"""So many failed polls in a row make red ticks: a dead feed must not look like a quiet one."""
_LONGEST_TROUBLE = 1000


def _tag_or_none(value: object) -> str | None:
    return entity_tag(value) if isinstance(value, str) else None


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

    etag: Annotated[str | None, BeforeValidator(_tag_or_none)] = None
    url: str | None = None
    newest: dict[ReleaseLine, ReleaseName] = {}
    passed: dict[ReleaseLine, ReleaseName] = {}
    waiting: tuple[Release, ...] = ()
    asked: dict[ReleaseLine, AwareDatetime] = {}
    refused: str = ""
    failures: Annotated[int, Field(ge=0)] = 0
    trouble: str = ""
    failed_at: AwareDatetime | None = None
    not_before: AwareDatetime | None = None

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the cursor of the last tick; a fresh one on the first, and where another text stands in its place.

        A part of it that is wrong counts as if it were not there, and the feed is then read anew: a tick that failed
        for it would keep it, and so fail for ever. Nothing is lost with it that partitions do not know, but for
        releases that waited.
        """
        try:
            held = parsed_json(text) if text else {}
        except ValueError:
            return cls()
        if not isinstance(held, dict):
            return cls()
        try:
            return cls.model_validate(held)
        except ValidationError as error:
            wrong = {problem["loc"][0] for problem in error.errors()}
            kept = {name: value for name, value in held.items() if name not in {*wrong, "etag"}}
            return cls.model_validate(kept)

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
        # At least two intervals once it counts as dead: the ticks between are red, and ask no server.
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
