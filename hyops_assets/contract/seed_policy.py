"""When a seed may go on: waves, and the daily cap of what costs money. Pure; times are seconds since 1970.

Automation, the seed itself and the standing check all ask here, so that they never differ.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hyops_assets.contract.errors import Refused

DAY_SECONDS = 24 * 3600.0


class DailyCapReached(Refused):
    """As many images were created in the last 24 hours as may be. Nothing was created."""


@dataclass(frozen=True)
class Canary:
    """What is known of one version at a canary site.

    Attributes:
        site: its name.
        seeded_at: when its seed ended well; None where it did not.
        held: what its lineage check said of that seed; None where it did not look yet.
        failed_run: the run that failed there last, if the last one did.
    """

    site: str
    seeded_at: float | None = None
    held: bool | None = None
    failed_run: str | None = None


def wave_holds(canaries: Sequence[Canary], *, pause_seconds: float, now: float) -> str:
    """Return why the sites that are no canaries wait for a version; empty where they need not."""
    for canary in canaries:
        if canary.seeded_at is None and canary.failed_run:
            return f"held back: canary {canary.site} failed (run {canary.failed_run})"
        if canary.seeded_at is not None and canary.held is False:
            return f"held back: canary {canary.site} was seeded and its lineage check failed"
    waiting = [canary.site for canary in canaries if canary.seeded_at is None]
    if waiting:
        return f"waits for canary {', '.join(waiting)}: not seeded yet"
    unseen = [canary.site for canary in canaries if canary.held is None]
    if unseen:
        return f"waits for canary {', '.join(unseen)}: its lineage check did not run yet"
    free_at = max((canary.seeded_at or 0.0 for canary in canaries), default=now - pause_seconds) + pause_seconds
    return f"waits until {clock(free_at)}: the canaries hold" if now < free_at else ""


@dataclass(frozen=True)
class Paid:
    """One image that was created, or is about to be: where, and when."""

    site: str
    at: float


@dataclass(frozen=True)
class Caps:
    """How many images may be created in any 24 hours: at each site, and over all."""

    by_site: dict[str, int]
    overall: int


def cap_holds(paid: Collection[Paid], site: str, caps: Caps, *, now: float) -> str:
    """Return why no further image may be created at a site now, and when it may; empty where one may."""
    recent = [one for one in paid if one.at > now - DAY_SECONDS]
    counted = (
        (f"at {site}", caps.by_site.get(site, 0), sorted(one.at for one in recent if one.site == site)),
        ("at all sites together", caps.overall, sorted(one.at for one in recent)),
    )
    held = [
        (where, cap, times[len(times) - cap] + DAY_SECONDS if cap else None, len(times))
        for where, cap, times in counted
        if len(times) >= cap
    ]
    if not held:
        return ""
    where, cap, free_at, created = max(held, key=lambda one: one[2] if one[2] is not None else float("inf"))
    until = f"goes on at {clock(free_at)}" if free_at is not None else "goes on once the cap is raised"
    return f"daily cap: {created} of {cap} paid images were created {where} in 24 hours; {until}"


def require_affordable(paid: Collection[Paid], site: str, caps: Caps, *, now: float) -> None:
    """See that one more image may be created at a site.

    Raises:
        DailyCapReached: it may not; the message says when it may.
    """
    if why := cap_holds(paid, site, caps, now=now):
        raise DailyCapReached(
            f"{site} is not seeded: {why}",
            hint="wait until then, or spend the money on purpose: hyops seed --over-daily-cap, or over_daily_cap in"
            " the run's configuration; seeding.paid_seeds_a_day and the site's paid_seeds_a_day set the cap",
        )


def clock(at: float) -> str:
    """Return a time for people, to the minute, rounded up: `2026-03-03 14:05 UTC`."""
    return f"{datetime.fromtimestamp(-(-at // 60) * 60, UTC):%Y-%m-%d %H:%M} UTC"
