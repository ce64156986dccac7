"""What a poll of the feed leads to, decided in pure functions: no Dagster, no clock, no network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hyops_assets.contract.version import ReleaseLine, release_order
from hyops_assets.settings.feed import FeedSettings
from resources.feed.parse import Feed, Release
from resources.feed.watch import KnownReleases, watch
from sensors.cursor import Cursor

MAX_NEW_PER_TICK = 2
_HOUR = timedelta(hours=1)
_LONGEST_NOTE = 2000
MAX_WAITING = 500
"""Releases that are remembered until they are asked for; years of nightly builds. What exceeds it is read again."""


@dataclass(frozen=True)
class Known:
    """What this environment knows, as far as a decision needs it.

    Attributes:
        newest: the newest release of each line that the feed announced and that was asked for; counts where the
            cursor was lost.
        taken_up: releases of the feed that are partitions.
        asked: releases for which a build was asked for before, by whomever, or that are published.
        urls: where the feed had a release when it was taken up.
        unfinished: releases that were taken up and are not in the cursor: their tick was killed on the way.
        in_flight: builds that are queued or running.
        contradicted: why a second witness contradicts a release, by release.
    """

    newest: Mapping[ReleaseLine, str] = field(default_factory=dict)
    taken_up: Collection[str] = ()
    asked: Collection[str] = ()
    urls: Mapping[str, str] = field(default_factory=dict)
    unfinished: Collection[Release] = ()
    in_flight: int = 0
    contradicted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a tick does.

    Attributes:
        ask: releases to build now, oldest first.
        cursor: what the next tick reads.
        alarms: what must not pass in silence, in words.
        notes: what else is worth reading: what waits and why, what was refused or passed over.
    """

    ask: tuple[Release, ...]
    cursor: Cursor
    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """All of it in one line, alarms first."""
        new = f"new: {', '.join(release.version for release in self.ask)}" if self.ask else "no release to build"
        return "; ".join([*(f"ALARM: {alarm}" for alarm in self.alarms), new, *self.notes])


def plan(cursor: Cursor, feed: Feed | None, known: Known, settings: FeedSettings, now: datetime) -> Plan:
    """Decide which releases are built now, and what is remembered.

    Of a line that was never read, the newest release only is taken up: history is built on demand. Later, what is
    newer than everything seen before is taken up, and waits until it is asked for: at most `MAX_NEW_PER_TICK` at a
    time, `max_builds_in_flight` altogether, and one in `min_hours_between_builds` of a line. Nothing that was taken up
    is forgotten before, even if the feed drops it. Refused entries never become releases.

    Args:
        cursor: what the tick before left.
        feed: what was read; None where it is unchanged or could not be read.
        known: what this environment knows of these releases.
        settings: skip list, cooldown, limits.
        now: our clock, with a zone.
    """
    taken = _taken_up(cursor, feed, known, settings, now)
    named = None if feed is None else {release.version for release in feed.good}
    given_up = [
        release
        for release in taken.cursor.waiting
        if named is not None and release.version in known.contradicted and release.version not in named
    ]
    queue, superseded = _superseded(
        [release for release in taken.cursor.waiting if release not in given_up], settings.min_hours_between_builds
    )
    kept = _passed(taken.cursor, [*given_up, *superseded])
    alarms, notes = list(taken.alarms), list(taken.notes)
    notes += [f"{release.version} was superseded while it waited" for release in superseded]
    notes += [f"{release.version} is given up: {known.contradicted[release.version]}" for release in given_up]
    ask: list[Release] = []
    for release in queue:
        rest = _cooling(kept.asked.get(release.line), settings, now)
        if release.version in known.contradicted:
            alarms.append(f"{release.version} waits: {known.contradicted[release.version]}")
        elif rest is not None:
            notes.append(f"{release.version} waits {rest / _HOUR:.1f} h for the cooldown of {release.line} releases")
        elif known.in_flight + len(ask) >= settings.max_builds_in_flight:
            notes.append(f"{release.version} waits: {known.in_flight + len(ask)} builds are in flight")
        elif len(ask) == MAX_NEW_PER_TICK:
            notes.append(f"{release.version} waits for the next tick")
        else:
            ask.append(release)
            kept = kept.but(asked={**kept.asked, release.line: now})
    after = kept.but(waiting=tuple(release for release in queue if release not in ask))
    # What has to be judged again must not be answered with "unchanged".
    return Plan(tuple(ask), after.but(etag=None) if alarms else after, tuple(alarms), tuple(notes))


def relevant(cursor: Cursor, feed: Feed | None) -> list[str]:
    """Return the releases of which a plan has to know whether they were asked for before: few, or none."""
    waiting = [release.version for release in cursor.waiting]
    if feed is None:
        return waiting
    return waiting + [
        release.version
        for release in feed.good
        if (newest := cursor.newest.get(release.line)) is None
        or release_order(release.version) > release_order(newest)
    ]


def _passed(cursor: Cursor, releases: Collection[Release]) -> Cursor:
    """Return a cursor that remembers these releases as passed over on purpose."""
    return cursor.but(passed=_raised(cursor.passed, releases))


def _raised(newest: Mapping[ReleaseLine, str], releases: Collection[Release]) -> dict[ReleaseLine, str]:
    """Return the newest release of each line, these included."""
    raised = dict(newest)
    for release in releases:
        raised[release.line] = max(raised.get(release.line, release.version), release.version, key=release_order)
    return raised


def _taken_up(cursor: Cursor, feed: Feed | None, known: Known, settings: FeedSettings, now: datetime) -> Plan:
    """Compare the feed with what is known, and let what is new wait; nothing is asked for yet."""
    waiting = [release for release in cursor.waiting if release.version not in known.asked]
    if feed is None:
        return Plan((), cursor.but(waiting=tuple(waiting)), notes=(cursor.refused,) if cursor.refused else ())
    # A cursor that was lost is replaced by what this environment knows: events and partitions are the lasting memory.
    begun = cursor.newest or known.newest
    passed = cursor.passed if cursor.newest else begun
    newest: dict[ReleaseLine, str] = {**_raised({}, known.unfinished), **begun}
    urls = {**known.urls, **{release.version: release.url for release in cursor.waiting}}
    taken = {*known.taken_up, *urls, *(release.version for release in known.unfinished)}
    watched = watch(feed, KnownReleases(newest, passed, taken, urls), now)
    named = {release.version for release in watched.fresh}
    fresh = [*(release for release in known.unfinished if release.version not in named), *watched.fresh]
    skipped = [release for release in fresh if release.version in settings.skip]
    elsewhere = [release for release in fresh if release.version in known.asked]
    first = [release for release in fresh if release.line not in begun]
    due = [release for release in fresh if release not in skipped and release not in elsewhere]
    room = MAX_WAITING - len(waiting)
    left_out = due[room:]
    refused = "; ".join(f"refused entry {entry.position} ({entry.version}): {entry.reason}" for entry in feed.refused)
    after = _passed(
        cursor.but(
            # What is left out is read again.
            etag=None if left_out else cursor.etag,
            newest=_raised(newest, [release for release in fresh if release not in left_out]),
            passed=passed,
            waiting=(*waiting, *due[:room]),
            refused=refused[:_LONGEST_NOTE],
        ),
        [*skipped, *elsewhere, *first],
    )
    notes = [f"{release.version} is on the skip list" for release in skipped]
    notes += [f"{release.version} was asked for before" for release in elsewhere]
    notes += [f"{watched.history} older releases are built on demand only"] if watched.history else []
    notes += [f"{len(left_out)} are more than can wait"] if left_out else []
    return Plan((), after, watched.alarms, (*notes, after.refused) if after.refused else tuple(notes))


def _superseded(waiting: Collection[Release], cooldown_hours: float) -> tuple[list[Release], list[Release]]:
    """Return what waits, oldest first, and what a newer one supersedes: with a cooldown, one of a line is enough."""
    queue = sorted(waiting, key=lambda release: (release_order(release.version), release.version))
    last = {release.line: release for release in queue}
    superseded = [release for release in queue if cooldown_hours and last[release.line] is not release]
    return [release for release in queue if release not in superseded], superseded


def _cooling(asked: datetime | None, settings: FeedSettings, now: datetime) -> timedelta | None:
    """Return how long a line still rests; None where it does not, or where our clock went back behind its build."""
    cooldown = settings.min_hours_between_builds * _HOUR
    if asked is None or not timedelta(0) <= now - asked < cooldown:
        return None
    return cooldown - (now - asked)
