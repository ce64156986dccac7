"""Which cells of the grids lack a seed, and what each of them waits for: over the log, the settings and the slot.

Automation, the standing check and `hyops seed` ask here, so that all three tell the same.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import dagster as dg

from hyops_assets.contract.seed_policy import Caps, Paid, cap_holds, wave_holds
from hyops_assets.partitions import Cloud, cell_of
from hyops_assets.seed_log import LastRun, SeedLog
from hyops_assets.settings.pipeline import Settings

REQUEST_SECONDS = 900.0
"""So long after its contract was published, a seed that nothing holds back should have been requested."""

Standing = Literal["at work", "by hand", "waits", "due", "superseded", "ended", "failed", "held back", "lost"]
ALARMS: frozenset[Standing] = frozenset({"failed", "held back", "lost"})
"""What nobody does anything about by itself."""


@dataclass(frozen=True)
class Missing:
    """A cell without its record: what it waits for, in a word and in a sentence."""

    site: str
    version: str
    standing: Standing
    why: str

    @property
    def alarms(self) -> bool:
        """Whether a person has to look."""
        return self.standing in ALARMS


def missing_seeds(cloud: Cloud, settings: Settings, log: SeedLog, named: str | None, *, now: float) -> list[Missing]:
    """Return every cell that lacks a seed it should have or wait for, the current record's first.

    The current record is due at every configured site. An older one is listed, without alarm, where the site seeds by
    itself and was in service when it was published: history is seeded on demand.
    """
    published = log.published()
    current = _current(cloud, settings, log, published, named, now=now) if named in published else []
    return [*current, *_superseded(cloud, settings, log, published, named)]


def _current(
    cloud: Cloud, settings: Settings, log: SeedLog, published: Mapping[str, int], named: str | None, *, now: float
) -> list[Missing]:
    version = str(named)
    contract = log.contract(published[version])
    keys = {str(cloud.seed(site, version)): site for site in cloud.sites(settings)}
    seeded = log.seeded(keys)
    lacking = [key for key in keys if key not in seeded or seeded[key].record_digest != contract.record_digest]
    at_work = log.at_work([keys[key] for key in lacking])
    waves = wave_waits(cloud, lacking, settings, log, now=now)
    caps = cap_waits(lacking, settings, log, now=now) if cloud.name == "hetzner" else {}
    passed = log.contract_passed(version, contract.event)
    found: list[Missing] = []
    for key in sorted(lacking):
        site, run = keys[key], log.last_run(key)
        standing, why = _standing(
            at_work.get(key),
            run,
            by_itself=cloud.sites(settings)[site].seed == "auto",
            passed=passed,
            waits=waves.get(key) or caps.get(key, ""),
            overdue=now - contract.at > REQUEST_SECONDS,
        )
        found.append(Missing(site, version, standing, why))
    return found


def _standing(
    at_work: str | None, run: LastRun | None, *, by_itself: bool, passed: bool, waits: str, overdue: bool
) -> tuple[Standing, str]:
    """Return what a cell of the current record waits for; the first that holds counts."""
    if at_work:
        return "at work", f"run {at_work} is queued or seeding it"
    if run is not None and run.failed:
        return "failed", f"run {run.run_id} failed: look at it, mend the cause, seed again"
    if not by_itself:
        return "by hand", "the site is seeded by hand (seed: manual)"
    if run is not None and run.status == dg.DagsterRunStatus.CANCELED:
        return "ended", f"run {run.run_id} was ended by a person"
    if not passed:
        return "waits", "the blocking checks of its contract have not passed"
    if waits:
        return ("held back" if waits.startswith("held back") else "waits"), waits
    if not overdue:
        return "due", "the next tick of seed_automation requests it"
    return "lost", "nothing holds it back and nobody requested it: see that the daemon and seed_automation run"


def _superseded(
    cloud: Cloud, settings: Settings, log: SeedLog, published: Mapping[str, int], named: str | None
) -> list[Missing]:
    seeds = log.seed_events()
    in_service: dict[str, int] = {}
    for key, event in seeds.items():
        site, _ = cell_of(key)
        in_service[site] = min(event, in_service.get(site, event))
    return [
        Missing(site, version, "superseded", "published while the site was in service; a newer record is current")
        for version, event in sorted(published.items(), key=lambda one: -one[1])
        for site in auto_sites(cloud, settings)
        if version != named and event > in_service.get(site, event) and str(cloud.seed(site, version)) not in seeds
    ]


def in_words(missing: Collection[Missing]) -> str:
    """Return how many cells stand how: `2 failed, 5 waits`; says so where nothing is missing."""
    counts: dict[Standing, int] = {}
    for one in missing:
        counts[one.standing] = counts.get(one.standing, 0) + 1
    return ", ".join(f"{count} {standing}" for standing, count in sorted(counts.items())) or "nothing is missing"


def auto_sites(cloud: Cloud, settings: Settings) -> list[str]:
    """Return the sites of a cloud that seed by themselves."""
    return sorted(name for name, site in cloud.sites(settings).items() if site.seed == "auto")


def wave_waits(
    cloud: Cloud,
    keys: Collection[str],
    settings: Settings,
    log: SeedLog,
    *,
    now: float,
    vouched: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return which of these cells wait for their cloud's canaries, and why.

    Args:
        cloud: of the cells.
        keys: the cells.
        settings: name the canaries.
        log: what was seeded.
        now: epoch seconds.
        vouched: record digests by version, of contracts whose publication the log does not know.
    """
    canaries = sorted(name for name, site in cloud.sites(settings).items() if site.canary)
    rest = [key for key in keys if cell_of(key)[0] not in canaries]
    if not canaries or not rest:
        return {}
    versions = {cell_of(key)[1] for key in rest}
    published = {version: event for version, event in log.published().items() if version in versions}
    digests = log.published_digests(published.values())
    why = {
        version: wave_holds(
            [
                log.canary(site, version, digests.get(published.get(version, 0), vouched.get(version, "")))
                for site in canaries
            ],
            pause_seconds=settings.seeding.rest_after_minutes * 60,
            now=now,
        )
        for version in versions
    }
    return {key: why[cell_of(key)[1]] for key in rest if why[cell_of(key)[1]]}


def cap_waits(keys: Collection[str], settings: Settings, log: SeedLog, *, now: float) -> dict[str, str]:
    """Return which of these cells wait for the daily cap, and why. What is queued or at work counts as created."""
    created = log.created(now=now)
    settled = {run_id for _, run_id in created}
    at_work = log.at_work(settings.sites.hetzner).items()
    counted = [paid for paid, _ in created] + [
        Paid(cell_of(key)[0], now) for key, run_id in at_work if run_id not in settled
    ]
    published = log.published()
    waits: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: (-published.get(cell_of(key)[1], 0), key)):
        site, _ = cell_of(key)
        if why := cap_holds(counted, site, caps_of(settings), now=now):
            waits[key] = why
        else:
            counted.append(Paid(site, now))
    return waits


def caps_of(settings: Settings) -> Caps:
    """Return the caps of the configured Hetzner sites."""
    by_site = {name: site.paid_seeds_a_day for name, site in settings.sites.hetzner.items()}
    return Caps(by_site, settings.seeding.paid_seeds_a_day)
