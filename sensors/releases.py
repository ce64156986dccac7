"""New releases: polls VyOS' feed and asks for one build per new version. Decisions stand in `plan.py`."""

import dagster as dg

from hyops_assets.assets.upstream import release_event
from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.feed_settings import FeedSettings
from hyops_assets.jobs import build_record
from hyops_assets.partitions import VERSIONS
from resources.feed.client import ReleaseFeed
from sensors.plan import Cursor, plan

TURN_RED_AFTER = 3
"""So many failed polls in a row make a red tick: a dead feed must not look like a quiet one."""


def vyos_rolling_release(settings: FeedSettings) -> dg.SensorDefinition:
    """Return the release sensor.

    One tick: a conditional GET; for each new release one partition, one `vyos_release` event and one run of the
    build job, in one result, so that a tick that is repeated after a crash asks for nothing twice (`run_key`).
    """

    @dg.sensor(
        name="vyos_rolling_release",
        job=build_record,
        minimum_interval_seconds=settings.poll_seconds,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if settings.sensor == "running" else dg.DefaultSensorStatus.STOPPED
        ),
        description="Polls the VyOS release feed; builds each new release once.",
    )
    def sensor(context: dg.SensorEvaluationContext, feed: dg.ResourceParam[ReleaseFeed]) -> dg.SensorResult:
        cursor = Cursor.parse(context.cursor)
        try:
            polled = feed.poll(cursor.etag, cursor.url, newest_seen=cursor.newest_seen)
        except TransientError as error:
            cursor.failures += 1
            if cursor.failures >= TURN_RED_AFTER:
                raise
            return dg.SensorResult(skip_reason=error.message, cursor=cursor.model_dump_json())
        if polled.feed is None:
            return dg.SensorResult(
                skip_reason=f"unchanged since the last poll (etag {cursor.etag})",
                cursor=cursor.model_copy(update={"failures": 0}).model_dump_json(),
            )
        known = context.instance.get_dynamic_partitions(str(VERSIONS.name))
        due = plan(polled.feed, known)
        after = Cursor(
            # Kept only once everything announced was asked for: what waits is seen again on the next tick.
            etag=None if due.more else polled.etag,
            url=polled.url,
            newest_seen=max((r.timestamp for r in polled.feed.good if r.timestamp), default=cursor.newest_seen),
        )
        if not due.new:
            return dg.SensorResult(skip_reason=due.reason, cursor=after.model_dump_json())
        versions = [release.version for release in due.new]
        context.log.info(due.reason)
        return dg.SensorResult(
            cursor=after.model_dump_json(),
            dynamic_partitions_requests=[VERSIONS.build_add_request(versions)],
            asset_events=[release_event(release, release.version) for release in due.new],
            run_requests=[dg.RunRequest(run_key=version, partition_key=version) for version in versions],
        )

    return sensor
