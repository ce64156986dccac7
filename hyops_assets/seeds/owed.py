"""What is owed to the sites of a cloud, and why each cell waits: over the log, the settings and the build slot.

Three readers ask here, so that all of them say the same: the sensor `seed_automation`, the standing check and
`hyops seed --missing`. A cell, one version at one site, is owed while the site lacks the record that the build slot
names, or, where it seeds by itself, one that was published since it was first looked at (docs/decisions/0024).
"""

import gc
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Literal, NamedTuple

import dagster as dg

from hyops_assets.contract.seed_policy import DAY_SECONDS, clock
from hyops_assets.seeds.canary_and_cap import auto_sites, cap_waits, wave_waits
from hyops_assets.seeds.history import LastRun, Requested, SeedLog
from hyops_assets.seeds.partitions import Cloud, cell_of
from hyops_assets.settings.pipeline import Settings

MOST_REQUESTS = 2
"""So often a cell is requested for one contract: once, and once more where its run failed or never came to be."""
LOST_AFTER_SECONDS = 600.0
"""A request from which no run came in this time is made again."""
REQUEST_SECONDS = 900.0
"""So long after its contract was published, a seed that nothing holds back should have been requested."""
MOST_READ = 150
"""Seeds whose record is read from the log at once: a tick of the sensor is short, and the next one reads on."""

Standing = Literal[
    "at work", "by hand", "waits", "due", "requested", "superseded", "ended", "failed", "held back", "lost"
]
ALARMS: frozenset[Standing] = frozenset({"failed", "held back", "lost"})
"""What only a person can go on with."""


@dataclass(frozen=True)
class Owed:
    """A cell without its record.

    Attributes:
        site: where it is missing.
        version: which record version.
        standing: what the cell waits for, in a word.
        why: the same in a sentence.
        contract: the event of the contract that is owed; 0 where none is.
        attempt: which request the next one is, where the sensor is to make it now; else 0.
        last_run: the cell's last run; empty where none is known.
    """

    site: str
    version: str
    standing: Standing
    why: str
    contract: int = 0
    attempt: int = 0
    last_run: str = ""

    @property
    def alarms(self) -> bool:
        """Whether a person has to look."""
        return self.standing in ALARMS


class _Cell(NamedTuple):
    """A cell and the event of the contract that it is owed."""

    site: str
    version: str
    contract: int


_COLLECTOR = threading.Lock()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of the block: it would look through all that lives, for rows that die at its end.

    Of a tick over 80,000 cells it took half of the time. The switch is the process': while another thread has it off,
    this one leaves it alone, so that it is on again in the end.
    """
    if not _COLLECTOR.acquire(blocking=False):
        yield
        return
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
        _COLLECTOR.release()


@_no_collection()
def owed_seeds(
    cloud: Cloud,
    settings: Settings,
    log: SeedLog,
    *,
    named: str | None,
    now: float,
    since: Mapping[str, int] | None = None,
) -> list[Owed]:
    """Return every cell that lacks its record, the current record's first, with what it waits for.

    Args:
        cloud: whose sites are looked at.
        settings: say which sites there are, and which of them seed by themselves.
        log: what was published, requested, run and seeded.
        named: the version that the build slot names: it is owed to every site, history to none.
        now: epoch seconds.
        since: the last contract that was published before each site was first seen to seed by itself; later ones are
            owed to it. A reader that does not know, the standing check, lists what a newer record superseded instead.
    """
    lacking = _lacking(_wanted(cloud, settings, log.published(), named, since or {}), log, named)
    if since is None:
        return [*_judged(lacking, settings, log, named, now=now), *_superseded(cloud, settings, log, named)]
    return _judged(lacking, settings, log, named, now=now)


def in_words(owed: Collection[Owed]) -> str:
    """Return how many cells stand how: `2 failed, 5 waits`; says so where nothing is missing."""
    counts: dict[Standing, int] = {}
    for one in owed:
        counts[one.standing] = counts.get(one.standing, 0) + 1
    return ", ".join(f"{count} {standing}" for standing, count in sorted(counts.items())) or "nothing is missing"


class _Wanted(NamedTuple):
    """A version, the event of its contract, and the sites that should hold it."""

    version: str
    contract: int
    sites: list[str]


def _wanted(
    cloud: Cloud, settings: Settings, published: Mapping[str, int], named: str | None, since: Mapping[str, int]
) -> list[_Wanted]:
    """Return which sites should hold which versions: the current record's first, then the newest."""
    automatic = [(site, since[site]) for site in auto_sites(cloud, settings) if site in since]
    wanted = [
        _Wanted(
            version,
            event,
            sorted(cloud.sites(settings))
            if version == named
            else [site for site, first in automatic if event > first],
        )
        for version, event in sorted(published.items(), key=lambda one: (one[0] != named, -one[1]))
    ]
    return [one for one in wanted if one.sites]


def _lacking(wanted: Sequence[_Wanted], log: SeedLog, named: str | None) -> dict[str, _Cell]:
    """Return the cells whose last seed holds another record than the contract's, or that have none.

    A cell whose seed was not read yet is left out: a reader that looks again reads on. The loop sees every cell of
    the grid at every tick, 80,000 of them: it makes nothing of those that hold their record.
    """
    contracts = log.contracts({one.version: one.contract for one in wanted})
    keys = {one.version: [log.cloud.key(site, one.version) for site in one.sites] for one in wanted}
    last = log.seed_events(list(chain.from_iterable(keys.values())))
    known = log.known_seeds()
    lacking: dict[str, _Cell] = {}
    unread: dict[str, _Cell] = {}
    for version, contract, sites in wanted:
        if version not in contracts:
            continue
        digest = contracts[version].record_digest
        for site, key in zip(sites, keys[version], strict=True):
            event, seed = last.get(key), known.get(key)
            if event is None:
                lacking[key] = _Cell(site, version, contract)
            elif seed is None or seed.event != event:
                unread[key] = _Cell(site, version, contract)
            elif not seed.record_digest == digest != "":
                lacking[key] = _Cell(site, version, contract)
    now_read = log.read_seeds({key: last[key] for key in islice(unread, MOST_READ)})
    for key, seed in now_read.items():
        if not seed.record_digest == contracts[unread[key].version].record_digest != "":
            lacking[key] = unread[key]
    order = sorted(lacking.items(), key=lambda one: (one[1].version != named, -one[1].contract, one[0]))
    return dict(order)


def _judged(
    cells: Mapping[str, _Cell], settings: Settings, log: SeedLog, named: str | None, *, now: float
) -> list[Owed]:
    """Return what each cell that lacks its record waits for."""
    if not cells:
        return []
    requested = log.requested({key: cell.contract for key, cell in cells.items()})
    # What was requested as often as it may be waits for a person: only the current record's runs are looked up.
    spent = {key for key, one in requested.items() if one.times >= MOST_REQUESTS and cells[key].version != named}
    runs = log.last_runs([key for key in cells if key not in spent])
    at_work = log.at_work({cell.site for cell in cells.values()})
    contracts = log.contracts({cell.version: cell.contract for cell in cells.values()})
    sites = log.cloud.sites(settings)
    found = {
        key: _stands(
            cell,
            requested.get(key, Requested()),
            runs.get(key),
            at_work.get(key, ""),
            by_itself=sites[cell.site].seed == "auto",
            current=cell.version == named,
            published_at=contracts[cell.version].at,
            now=now,
        )
        for key, cell in cells.items()
    }
    waits = _waits({key: one for key, one in found.items() if one.attempt}, settings, log, now=now)
    return [
        _held(one, waits.get(key, ""), overdue=now - contracts[one.version].at > REQUEST_SECONDS)
        for key, one in found.items()
    ]


def _stands(
    cell: _Cell,
    requested: Requested,
    run: LastRun | None,
    at_work: str,
    *,
    by_itself: bool,
    current: bool,
    published_at: float,
    now: float,
) -> Owed:
    """Return how a cell stands by its requests and runs, and whether it is due; the first that holds counts."""
    came = run is not None and run.run_id != requested.before
    again = requested.times < MOST_REQUESTS
    # The run of an old request came, and was deleted with what it said: only the current record is worth a doubt.
    doubtful = not came and (current or now - requested.at < DAY_SECONDS)

    def stands(standing: Standing, why: str, *, due: bool = False) -> Owed:
        attempt = requested.times + 1 if due and by_itself else 0
        return Owed(*cell[:2], standing, why, cell.contract, attempt, run.run_id if run is not None else "")

    if at_work:
        return stands("at work", f"run {at_work} is queued or seeding it")
    if requested.times and not came and now - requested.at <= LOST_AFTER_SECONDS:
        return stands("requested", f"requested at {clock(requested.at)}: its run is still to come")
    if run is not None and run.failed:
        why = f"run {run.run_id} failed: look at it, mend the cause, seed again"
        return stands("failed", why, due=again)
    if not by_itself:
        return stands("by hand", "the site is seeded by hand (seed: manual)")
    if run is not None and run.status is dg.DagsterRunStatus.CANCELED and (came and run.at > published_at):
        return stands("ended", f"run {run.run_id} was ended by a person")
    if not requested.times or (again and doubtful):
        return stands("due", "the next tick of seed_automation requests it", due=True)
    if came and run is not None:
        return stands("lost", f"run {run.run_id} ended well and left another record: look at it, seed again")
    return stands("lost", f"requested {requested.times} times and not seeded: look at its runs, seed it by hand")


def _waits(due: Mapping[str, Owed], settings: Settings, log: SeedLog, *, now: float) -> dict[str, str]:
    """Return why cells that are due have to wait all the same, by partition key."""
    if not due:
        return {}
    versions, building = log.version_partitions(), log.versions_at_work()

    def why_of(version: str, contract: int) -> str:
        if version not in versions:
            return f"{version} was forgotten here: hyops apply takes it in again"
        if version in building:
            return f"run {building[version]} is at work on {version}"
        return "" if log.contract_passed(version, contract) else "the blocking checks of its contract have not passed"

    why = {
        version: why_of(version, contract)
        for version, contract in {(one.version, one.contract) for one in due.values()}
    }
    waits = {key: why[one.version] for key, one in due.items() if why[one.version]}
    waits |= wave_waits(log.cloud, due.keys() - waits.keys(), settings, log, now=now)
    if log.cloud.spec.paid:
        waits |= cap_waits(due.keys() - waits.keys(), settings, log, now=now)
    return waits


def _held(one: Owed, why: str, *, overdue: bool) -> Owed:
    """Return a cell as it stands once it is known whether something holds it."""
    if why and one.standing == "failed":
        return replace(one, attempt=0)
    if why:
        return replace(one, standing="held back" if why.startswith("held back") else "waits", why=why, attempt=0)
    if one.standing == "due" and overdue:
        nothing = "nothing holds it back and it was not requested: see that the daemon and seed_automation run"
        return replace(one, standing="lost", why=nothing)
    return one


def _superseded(cloud: Cloud, settings: Settings, log: SeedLog, named: str | None) -> list[Owed]:
    """Return what was published while a site was in service and never came there; what is older is not owed."""
    seeds = log.seed_events()
    in_service: dict[str, int] = {}
    for key, event in seeds.items():
        site, _ = cell_of(key)
        in_service[site] = min(event, in_service.get(site, event))
    return [
        Owed(site, version, "superseded", "published while the site was in service; a newer record is current")
        for version, event in sorted(log.published().items(), key=lambda one: -one[1])
        for site in auto_sites(cloud, settings)
        if version != named and event > in_service.get(site, event) and cloud.key(site, version) not in seeds
    ]
