"""Upkeep by the clock: when it is looked after what runs left, what was never seeded, and whether the rest stands."""

import dagster as dg

from hyops_assets.jobs import look_for_drift, look_for_missing_seeds, reap_leftovers
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.upkeep import EveryHours, UpkeepSettings
from resources.error_border import bordered

_RUNNING, _STOPPED = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED


def cron_of(every_hours: EveryHours, *, minute: int) -> str:
    """Return when something happens that is due every so many hours of a day, in UTC."""
    hours = {1: "*", 24: "0"}.get(every_hours, f"*/{every_hours}")
    return f"{minute} {hours} * * *"


def leftover_resources(settings: UpkeepSettings) -> dg.ScheduleDefinition:
    """Return the schedule that removes what dead runs left at the sites."""

    @dg.schedule(
        name="leftover_resources",
        job=reap_leftovers,
        # Not on the hour, when everybody asks.
        cron_schedule=cron_of(settings.leftovers_every_hours, minute=17),
        default_status=_RUNNING if settings.leftovers == "running" else _STOPPED,
        description="Removes servers, keys and scratch machines of dead runs from every site.",
    )
    @bordered
    def schedule(settings: dg.ResourceParam[Settings]) -> dg.RunRequest | dg.SkipReason:
        if any(settings.sites.each()):
            return dg.RunRequest()
        return dg.SkipReason("no site is configured: nothing can be left anywhere")

    return schedule


def drift(settings: UpkeepSettings) -> dg.ScheduleDefinition:
    """Return the schedule that looks whether what was seeded and published still stands."""
    return dg.ScheduleDefinition(
        name="drift",
        job=look_for_drift,
        cron_schedule=cron_of(settings.drift_every_hours, minute=41),
        default_status=_RUNNING if settings.drift == "running" else _STOPPED,
        description="Looks whether what was seeded and published still stands as it was left. Reads only.",
    )


def missing_seeds() -> dg.ScheduleDefinition:
    """Return the schedule that looks which sites lack a record: a seed that was never asked for fails nowhere else."""
    return dg.ScheduleDefinition(
        name="missing_seeds",
        job=look_for_missing_seeds,
        cron_schedule=cron_of(1, minute=7),
        default_status=_RUNNING,
        description="Looks which sites lack a record that they should have, and why. Reads only.",
    )
