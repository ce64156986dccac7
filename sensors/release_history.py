"""What is known of the releases of a feed, read from the Dagster instance: a few look-ups, no scan of history.

All partitions are listed only where a feed holds something new.
"""

import dagster as dg

from hyops_assets.assets.published_contract import published_contract
from hyops_assets.assets.upstream import MOST_ANNOUNCEMENTS, announced_urls, announcements, vyos_release
from hyops_assets.contract.version import ReleaseLine, release_line, release_order
from hyops_assets.jobs import BUILDS, build_record
from hyops_assets.seeds.partitions import VERSIONS, versions_of
from resources.feed.parse import Feed, Release, release_at
from sensors.cursor import Cursor
from sensors.plan import MAX_NEW_PER_TICK, Known, relevant

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_MOST_RUNS = 50
"""Of one version: a build among them is found, whatever else ran for it."""
_RECENT = 4 * MAX_NEW_PER_TICK
PARTITION_TAG = "dagster/partition"


def known_of(instance: dg.DagsterInstance, cursor: Cursor, feed: Feed | None) -> Known:
    """Return what a plan needs to know of this feed and of what waits; nothing is read where both are empty."""
    names = [release.version for release in feed.good] if feed else []
    unfinished = _unfinished(instance, cursor) if feed else []
    set_name = str(VERSIONS.name)
    taken_up = {name for name in names if instance.has_dynamic_partition(set_name, name)}
    candidates = [*relevant(cursor, feed), *(release.version for release in unfinished)]
    if not candidates:
        return Known(taken_up=taken_up, urls=announced_urls(instance, taken_up))
    revised = {version.release for version in versions_of(instance) if version.revision > 1}
    # A partition alone proves nothing: a daemon that is killed between adding it and asking for its run leaves one.
    asked = {name for name in candidates if name in revised or _asked(instance, name)}
    return Known(
        newest={} if cursor.newest else _newest(instance),
        taken_up=taken_up,
        asked=asked,
        urls=announced_urls(instance, taken_up),
        unfinished=unfinished,
        in_flight=instance.get_runs_count(dg.RunsFilter(job_name=build_record.name, statuses=IN_FLIGHT)),
    )


def _newest(instance: dg.DagsterInstance) -> dict[ReleaseLine, str]:
    """Return the newest release of each line that the feed announced and of which a build was asked for."""
    found: dict[ReleaseLine, str] = {}
    announced = announcements(instance, vyos_release.key, limit=MOST_ANNOUNCEMENTS)
    for release in sorted(announced, key=release_order, reverse=True):
        line = release_line(release)
        if line not in found and _asked(instance, release):
            found[line] = release
    return found


def _asked(instance: dg.DagsterInstance, release: str) -> bool:
    """Tell whether a build of a release was ever asked for, by whomever, or whether it is published."""
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: release}), limit=_MOST_RUNS)
    if any(run.job_name in BUILDS for run in runs):
        return True
    published = dg.AssetRecordsFilter(asset_key=published_contract.key, asset_partitions=[release])
    return bool(instance.fetch_materializations(published, limit=1).records)


def _unfinished(instance: dg.DagsterInstance, cursor: Cursor) -> list[Release]:
    """Return releases that the feed's own last ticks took up and the cursor does not know.

    A tick reports its releases, adds partitions, asks for runs, and keeps its cursor, in this order. One that is
    killed on the way leaves the first of these, and the feed may name others by the time of the next tick.
    """
    recent = announcements(instance, vyos_release.key, limit=_RECENT)
    return [
        release_at(version, url)
        for version, url in recent.items()
        if (newest := cursor.newest.get(release_line(version))) is None
        or release_order(version) > release_order(newest)
    ]
