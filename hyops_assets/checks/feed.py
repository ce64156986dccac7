"""Whether the release feed says today what it said before: a check of the feed as a whole, not of one release.

What belongs here: how a reading of the feed becomes a verdict that the UI shows. The release sensor reports one
whenever the verdict changes; the check can be executed by hand as well.
"""

from collections.abc import Collection
from datetime import UTC, datetime

import dagster as dg

from hyops_assets.assets.upstream import announced_urls, vyos_release
from hyops_assets.contract.version import ReleaseLine, release_line, release_order
from hyops_assets.seeds.partitions import versions_of
from resources.error_border import bordered
from resources.feed.client import ReleaseFeed
from resources.feed.parse import Feed, RefusedEntry
from resources.feed.watch import KnownReleases, watch

NAME = "feed_is_sound"
KEY = dg.AssetCheckKey(vyos_release.key, NAME)


def verdict(alarms: Collection[str], refused: Collection[RefusedEntry]) -> dg.AssetCheckResult:
    """Return what a reading of the feed comes to: alarms fail the check, refused entries are a warning."""
    words = [*alarms, *(f"entry {entry.position} ({entry.version}) is refused: {entry.reason}" for entry in refused)]
    columns = [dg.TableColumn("entry", "int"), dg.TableColumn("version"), dg.TableColumn("reason")]
    rows = [
        dg.TableRecord({"entry": entry.position, "version": entry.version, "reason": entry.reason})
        for entry in refused
    ]
    return dg.AssetCheckResult(
        passed=not words,
        asset_key=KEY.asset_key,
        check_name=NAME,
        severity=dg.AssetCheckSeverity.ERROR if alarms else dg.AssetCheckSeverity.WARN,
        description="; ".join(words) or "every entry is good, and none contradicts an earlier reading",
        metadata={
            "alarms": dg.MetadataValue.json([*alarms]),
            "refused entries": dg.MetadataValue.table(rows, schema=dg.TableSchema(columns)),
        },
    )


def changed_verdict(
    instance: dg.DagsterInstance, alarms: Collection[str], refused: Collection[RefusedEntry]
) -> dg.AssetCheckEvaluation | None:
    """Return the event that tells of a verdict; None where the last one was the same, so that history stays short."""
    found = verdict(alarms, refused)
    former = _former(instance)
    if former is not None and (former.passed, former.description) == (found.passed, found.description):
        return None
    return dg.AssetCheckEvaluation(
        asset_key=KEY.asset_key,
        check_name=NAME,
        passed=found.passed,
        severity=found.severity,
        description=found.description,
        metadata=found.metadata,
    )


def alarmed(instance: dg.DagsterInstance) -> bool:
    """Tell whether the last verdict was an alarm: then the feed has to be read, whether it changed or not."""
    former = _former(instance)
    return former is not None and not former.passed and former.severity == dg.AssetCheckSeverity.ERROR


def _former(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation | None:
    record = instance.get_latest_asset_check_evaluation_record(KEY)
    event = record.event.dagster_event if record and record.event else None
    return event.asset_check_evaluation_data if event else None


@dg.asset_check(asset=vyos_release.key, name=NAME, config_schema={})
@bordered
def feed_is_sound(context: dg.AssetCheckExecutionContext, feed: dg.ResourceParam[ReleaseFeed]) -> dg.AssetCheckResult:
    """Every entry of the feed keeps the rules, and none contradicts what the feed said before.

    It fails where the feed went backwards, moves a known release to another URL, or names one of the future. Refused
    entries are a warning; good ones flow all the same. Which old releases were passed over on purpose only the release
    sensor keeps: it reports here an old one that is replayed.
    """
    read = feed.poll().feed or Feed()
    newest: dict[ReleaseLine, str] = {}
    releases = {version.release for version in versions_of(context.instance)}
    for release in releases:
        line = release_line(release)
        newest[line] = max(newest.get(line, release), release, key=release_order)
    known = releases & {release.version for release in read.good}
    seen = KnownReleases(newest, passed=newest, known=known, urls=announced_urls(context.instance, known))
    watched = watch(read, seen, datetime.now(UTC))
    return verdict(watched.alarms, read.refused)
