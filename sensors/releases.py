"""New releases: polls VyOS' feed and asks for one build per new version. Decisions stand in `plan.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from hyops_assets.assets.upstream import release_event
from hyops_assets.checks.feed import alarmed, changed_verdict
from hyops_assets.contract.errors import TransientError
from hyops_assets.jobs import build_record
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.feed import FeedSettings
from resources.error_border import bordered, said_of
from resources.feed.client import FeedUnavailable, ReleaseFeed
from resources.feed.parse import Feed
from resources.time_budget import NoTimeLeft, TimeBudget
from sensors.cursor import Cursor
from sensors.plan import Known, Plan, plan
from sensors.release_history import known_of

_GRACE_SECONDS = 1
POLL_SECONDS = 24.0
LOOK_UP_SECONDS = 16.0
"""Dagster ends a tick after 60 s (`DAGSTER_GRPC_TIMEOUT_SECONDS`), and it ends in vain then. What is asked of servers
takes so long at most, however many URLs and releases there are; the rest is for our own database."""


class FeedAlarm(Exception):
    """The feed contradicts what it said before, or GitHub, or our clock. The tick is red until it no longer does."""


@dataclass(frozen=True)
class FeedLook:
    """What a tick saw of the feed: an answer, `unchanged`, or why there is none; and what the cursor keeps of it."""

    cursor: Cursor
    said: str
    feed: Feed | None = None
    dead: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


def vyos_rolling_release(settings: FeedSettings, *, clock: Callable[[], datetime] = _utc_now) -> dg.SensorDefinition:
    """Return the release sensor.

    One tick: a conditional GET; for each new release one partition, one `vyos_release` event and one run of the
    build job, in one result, so that a tick that is repeated after a crash asks for nothing twice (`run_key`).
    An alarm and a dead feed make red ticks. A red tick keeps the former cursor, so none of them may be one that has
    something to remember.

    Args:
        settings: how often, and what is asked for.
        clock: tells the time, with a zone.
    """

    @dg.sensor(
        name="vyos_rolling_release",
        job=build_record,
        # Dagster's daemon looks every 5 s, give or take: else the look that is due may come a moment too early.
        minimum_interval_seconds=settings.poll_seconds - _GRACE_SECONDS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if settings.sensor == "running" else dg.DefaultSensorStatus.STOPPED
        ),
        description="Polls the VyOS release feed; builds each new release once.",
    )
    @bordered
    def sensor(context: dg.SensorEvaluationContext, feed: dg.ResourceParam[ReleaseFeed]) -> dg.SensorResult:
        now = clock()
        cursor = Cursor.parse(context.cursor)
        if alarmed(context.instance):
            # A red tick keeps the cursor from before the alarm: a feed that went back to that is not "unchanged".
            cursor = cursor.but(etag=None)
        look = _look(feed, cursor, settings, now)
        known = known_of(context.instance, look.cursor, look.feed)
        due = _confirmed(look, known, feed, settings, now)
        if look.dead and not due.ask:
            raise FeedUnavailable(look.said, hint="check feed.urls in config/pipeline.yml and the network")
        verdict = changed_verdict(context.instance, due.alarms, look.feed.refused) if look.feed else None
        if due.alarms and not due.ask and due.cursor.memory == cursor.memory:
            if verdict is not None:
                context.instance.report_runless_asset_event(verdict)
            raise FeedAlarm("; ".join(due.alarms))
        context.log.info(due.reason)
        return _result(due, look.said, [verdict] if verdict is not None else [])

    return sensor


def _look(feed: ReleaseFeed, cursor: Cursor, settings: FeedSettings, now: datetime) -> FeedLook:
    """Poll the feed, unless it failed and is left alone for now."""
    if cursor.resting(now) and cursor.not_before is not None:
        until = cursor.not_before.isoformat(timespec="seconds")
        said = f"{cursor.failures} polls failed in a row; the next one is at {until}. Last reason: {cursor.trouble}"
        return FeedLook(cursor, said, dead=cursor.dead)
    try:
        polled = feed.poll(cursor.etag, cursor.url, budget=TimeBudget(POLL_SECONDS))
    except TransientError as error:
        return FeedLook(cursor.failed(said_of(error), now, settings.poll_seconds), said_of(error))
    after = cursor.read(polled.etag, polled.url)
    if polled.feed is None:
        return FeedLook(after, f"the feed is unchanged since it was last read (etag {polled.etag})")
    return FeedLook(after, "the feed was read", polled.feed)


def _confirmed(look: FeedLook, known: Known, feed: ReleaseFeed, settings: FeedSettings, now: datetime) -> Plan:
    """Decide, and have GitHub confirm what is to be built; what it contradicts waits, and others are decided on."""
    contradicted: dict[str, str] = {}
    confirmed: set[str] = set()
    budget = TimeBudget(LOOK_UP_SECONDS)
    while True:
        due = plan(look.cursor, look.feed, replace(known, contradicted=contradicted), settings, now)
        unasked = [release for release in due.ask if release.version not in confirmed]
        if not unasked:
            return due
        for position, release in enumerate(unasked):
            try:
                answer = feed.look_up(release, budget=budget, among=len(unasked) - position)
            except NoTimeLeft:
                # As where GitHub cannot be reached: that speaks neither for nor against a release.
                confirmed.add(release.version)
                continue
            if answer.status == "contradicted":
                contradicted[release.version] = answer.reason
            else:
                confirmed.add(release.version)


def _result(due: Plan, said: str, events: list[dg.AssetCheckEvaluation]) -> dg.SensorResult:
    if not due.ask:
        return dg.SensorResult(
            skip_reason=f"{said}; {due.reason}", cursor=due.cursor.model_dump_json(), asset_events=events
        )
    versions = [release.version for release in due.ask]
    return dg.SensorResult(
        cursor=due.cursor.model_dump_json(),
        dynamic_partitions_requests=[VERSIONS.build_add_request(versions)],
        asset_events=[*(release_event(release, release.version, announced=True) for release in due.ask), *events],
        run_requests=[dg.RunRequest(run_key=version, partition_key=version) for version in versions],
    )
