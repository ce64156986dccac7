"""Seeds by themselves: asks for what is owed, once per contract, and once more where that came to nothing.

What is owed is read from the log at every tick (`hyops_assets/seeds/owed.py`). The cursor holds what the log cannot
tell: since which contract each site seeds by itself.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Self

import dagster as dg
from pydantic import BaseModel, ValidationError

from hyops_assets.jobs import SEED_JOBS
from hyops_assets.seeds.canary_and_cap import auto_sites
from hyops_assets.seeds.history import Notes, SeedLog
from hyops_assets.seeds.owed import Owed, in_words, owed_seeds
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.error_border import bordered
from resources.states.current_record import current_version
from resources.states.store import StateStore

INTERVAL_SECONDS = 4
"""Dagster's daemon looks every 5 s, give or take: at 5, each second look came a moment too early (10 s were seen)."""
MOST_A_TICK = 50
"""Requests of one tick: the daemon makes their runs one by one, and what is over it is asked for at the next."""
_MOST_REASONS = 20


class Cursor(BaseModel, extra="forbid"):
    """By cloud and site, the last contract that was published before the site was first seen to seed by itself."""

    since: dict[str, dict[str, int]] = {}

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the last tick's cursor. Without one, or with one of another version, history is owed to no site."""
        try:
            return cls.model_validate_json(text) if text else cls()
        except ValidationError:
            # Before decision 24, Dagster kept the state of its conditions here.
            return cls()

    def seen(self, cloud: Cloud, settings: Settings, published: Mapping[str, int]) -> dict[str, int]:
        """Return the numbers of a cloud's sites that seed by themselves now: kept, or of today where a site is new."""
        today, kept = max(published.values(), default=0), self.since.get(cloud.name, {})
        return {site: kept.get(site, today) for site in auto_sites(cloud, settings)}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def seed_automation(*, clock: Callable[[], datetime] = _utc_now) -> dg.SensorDefinition:
    """Return the sensor that requests the seeds that are due. It runs unless it is stopped in the UI.

    Sites with `seed: manual` are not touched: their cells are materialized by hand.

    Args:
        clock: tells the time, with a zone.
    """
    # What events say never changes: a tick reads only what came since the last one in this process.
    noted: Notes = {}

    @dg.sensor(
        name="seed_automation",
        jobs=[*SEED_JOBS.values()],
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests the seeds of contracts whose blocking checks passed, at sites that seed by themselves.",
    )
    @bordered
    def sensor(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        states: dg.ResourceParam[StateStore],
    ) -> dg.SensorResult:
        now, named = clock().timestamp(), current_version(states)
        cursor, after = Cursor.parse(context.cursor), Cursor()
        owed: list[tuple[SeedLog, Owed]] = []
        for cloud in CLOUDS:
            log = SeedLog(context.instance, cloud, noted)
            since = after.since[cloud.name] = cursor.seen(cloud, settings, log.published())
            owed += [(log, one) for one in owed_seeds(cloud, settings, log, named=named, now=now, since=since)]
        # The current record everywhere before the history of any cloud.
        due = sorted(((log, one) for log, one in owed if one.attempt), key=lambda found: found[1].version != named)
        asked = due[:MOST_A_TICK]
        if asked:
            # Only here: a tick that requests nothing has a reason to show, and would else leave a log every 4 s.
            context.log.info(_why_not([one for _, one in owed if not one.attempt]))
        if len(due) > len(asked):
            context.log.info("%s more seeds are due and requested at the next tick", len(due) - len(asked))
        return dg.SensorResult(
            run_requests=[_request(log.cloud, one) for log, one in asked],
            asset_events=[_note(log, one) for log, one in asked],
            dynamic_partitions_requests=_new_sites(context.instance, settings),
            cursor=after.model_dump_json(),
            skip_reason=None if asked else _why_not([one for _, one in owed]),
        )

    return sensor


def _request(cloud: Cloud, one: Owed) -> dg.RunRequest:
    key = cloud.key(one.site, one.version)
    return dg.RunRequest(
        run_key=f"{one.contract}/{cloud.name}/{key}/{one.attempt}",
        job_name=SEED_JOBS[cloud.name].name,
        partition_key=key,
    )


def _note(log: SeedLog, one: Owed) -> dg.AssetObservation:
    """Return the event by which the next tick knows of a request, whatever becomes of its run."""
    key = log.cloud.key(one.site, one.version)
    return log.request(key, contract=one.contract, attempt=one.attempt, before=one.last_run)


def _new_sites(instance: dg.DagsterInstance, settings: Settings) -> list[dg.AddDynamicPartitionsRequest]:
    """Return what makes new sites partitions: no shell has to run first."""
    new = [
        (cloud, sorted(set(cloud.sites(settings)) - SeedLog(instance, cloud).site_partitions())) for cloud in CLOUDS
    ]
    return [cloud.site_keys.build_add_request(sites) for cloud, sites in new if sites]


def _why_not(owed: list[Owed]) -> str:
    """Return why cells are not requested: how many stand how, and what each of them waits for."""
    if not owed:
        return "nothing else is owed to any site"
    sites: dict[str, list[str]] = {}
    for one in owed:
        sites.setdefault(f"{one.version}: {one.why}", []).append(one.site)
    reasons = [f"{', '.join(own)}: {why}" for why, own in sites.items()]
    more = [f"and {len(reasons) - _MOST_REASONS} more reasons"] if len(reasons) > _MOST_REASONS else []
    return "; ".join([in_words(owed), *reasons[:_MOST_REASONS], *more])
