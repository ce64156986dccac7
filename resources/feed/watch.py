"""What a feed says against what it said before: new releases, and what must not pass in silence.

Pure. `parse_feed` judges an entry by itself; here it is held against the newest release that was ever seen, against
the place where the feed had a release before, and against our clock. Releases are ordered by their names: a feed's
times are its own claim.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hyops_assets.contract.version import ReleaseLine, release_order
from resources.feed.parse import Feed, Release

AHEAD = timedelta(days=1)
"""A release that is named for a time further ahead than this is a mistake, of the feed's or of our clock. Taken in as
the newest one, it would make every later release look old."""


@dataclass(frozen=True)
class KnownReleases:
    """What is known of a feed from earlier readings.

    Attributes:
        newest: the newest release that was ever seen of each line; a line without one was never read.
        passed: up to this release, those that are not known were passed over on purpose: history, mostly.
        known: releases of this feed that were taken up before.
        urls: where the feed had them then.
    """

    newest: Mapping[ReleaseLine, str] = field(default_factory=dict)
    passed: Mapping[ReleaseLine, str] = field(default_factory=dict)
    known: Collection[str] = ()
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """A feed, compared.

    Attributes:
        fresh: releases newer than every one that was seen before, oldest first; of a line that was never read, the
            newest one only.
        history: how many releases are older than that one.
        alarms: what contradicts an earlier reading or our clock, in words.
    """

    fresh: tuple[Release, ...] = ()
    history: int = 0
    alarms: tuple[str, ...] = ()


def watch(feed: Feed, seen: KnownReleases, now: datetime) -> Watched:
    """Compare a feed with what is known of it from before.

    Args:
        feed: as it was parsed; entries that were refused are not looked at again.
        seen: what earlier readings left.
        now: our clock, with a zone.
    """
    fresh: list[Release] = []
    alarms: list[str] = []
    history = 0
    ahead = [release for release in feed.good if release_order(release.version)[0] > now + AHEAD]
    alarms += [
        f"{release.version} is named for a time that is {release_order(release.version)[0] - now} ahead of our clock"
        for release in ahead
    ]
    for line in ("rolling", "stream"):
        entries = sorted(
            (release for release in feed.good if release.line == line and release not in ahead),
            key=lambda release: release_order(release.version),
        )
        if not entries:
            continue
        newest = seen.newest.get(line)
        if newest is None:
            fresh.append(entries[-1])
            history += len(entries) - 1
            continue
        if release_order(entries[-1].version) < release_order(newest):
            alarms.append(f"the feed went backwards: its newest release is {entries[-1].version}, after {newest}")
        fresh += [release for release in entries if release_order(release.version) > release_order(newest)]
        before = [release for release in entries if release_order(release.version) <= release_order(newest)]
        alarms += [fault for release in before if (fault := _contradiction(release, seen))]
    return Watched(tuple(fresh), history, tuple(alarms))


def _contradiction(release: Release, seen: KnownReleases) -> str | None:
    """Return what is wrong with an entry that is no newer than what was seen before."""
    if release.version in seen.known:
        url = seen.urls.get(release.version, release.url)
        return None if url == release.url else f"the URL of {release.version} changed from {url} to {release.url}"
    passed = seen.passed.get(release.line)
    if passed is not None and release_order(release.version) <= release_order(passed):
        return None
    return f"{release.version} appears now, and is older than what was seen before: an old release is replayed"
