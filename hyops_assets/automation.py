"""When seeds are requested by themselves: at sites with `seed: auto`, after a contract's blocking checks passed.

A cell (one version at one site) is owed while the site lacks the record that the build slot names, or one that was
published since. Each contract's cell is asked for once, and once more where its run failed or never came to be; after
that a person decides. What is owed is remembered, but the debt itself is read from the log at every tick: no event
can be missed, and a lost memory asks for nothing but the current record. Why the conditions that Dagster has do not
do: docs/decisions/0007.
"""

from collections.abc import Collection, Mapping
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.dagster_gaps import AssetSubsetWithMetadata
from hyops_assets.partitions import Cloud, cell_of
from hyops_assets.seed_log import LastRun, SeedLog
from hyops_assets.settings.pipeline import Settings
from hyops_assets.waiting import auto_sites, cap_waits, wave_waits
from resources.border import bordered
from resources.settings import load_settings
from resources.states.current_record import current_version
from resources.states.store import StateStore

MOST_REQUESTS = 2
LOST_AFTER_SECONDS = 600.0
"""A request from which no run came in this time is made again."""


class Asked(BaseModel):
    """What is remembered of an owed cell.

    Attributes:
        contract: the event of the contract that is owed.
        times: how often its seed was requested.
        at: when it was requested last, in seconds since 1970.
        before: the cell's last run before that, by which the requested run is told from an older one.
    """

    contract: int
    times: int = 0
    at: float = 0.0
    before: str | None = None

    def is_due(self, last: LastRun | None, *, now: float) -> bool:
        """Whether the cell is to be requested now, after its last run."""
        if last is not None and last.unfinished:
            return False
        if self.times == 0:
            return True
        if last is None or last.run_id == self.before:
            return self.times < MOST_REQUESTS and now - self.at > LOST_AFTER_SECONDS
        return self.times < MOST_REQUESTS and last.failed


class Memory(BaseModel):
    """What a tick hands on to the next: up to which contract it looked, and what is owed."""

    seen: int
    owed: dict[str, Asked] = {}

    @classmethod
    def of(cls, text: str | None, published: Mapping[str, int]) -> Self:
        """Return the last tick's memory; at first, history is as good as seen."""
        return cls.model_validate_json(text) if text else cls(seen=max(published.values(), default=0))

    def owing(self, cloud: Cloud, published: Mapping[str, int], sites: Collection[str], named: str | None) -> Self:
        """Return the memory with what is owed to these sites now: new contracts, and the named version's.

        Args:
            cloud: names the cells.
            published: the event of each version's latest contract.
            sites: those that seed by themselves.
            named: the version that the build slot names.
        """
        fresh = {version: event for version, event in published.items() if event > self.seen or version == named}
        owed = {
            key: asked
            for key, asked in self.owed.items()
            if cell_of(key)[0] in sites and published.get(cell_of(key)[1]) == asked.contract
        }
        for version, event in fresh.items():
            for site in sites:
                owed.setdefault(str(cloud.seed(site, version)), Asked(contract=event))
        return self.model_copy(update={"owed": owed, "seen": max([self.seen, *published.values()])})


class SeedsOwed(dg.AutomationCondition[dg.AssetKey]):
    """True for the cells that are to be requested now: see the module's first lines."""

    def __init__(self, cloud: Cloud, root: RuntimeRoot) -> None:
        self._cloud = cloud
        self._root = root

    @property
    def name(self) -> str:
        """What the UI shows. It stays the same whatever is configured: the memory hangs on it."""
        return "owed to a site with seed: auto: the record that the build slot names, or one published since"

    @bordered
    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Bring the memory up to date, and return what is due."""
        log = SeedLog(context.asset_graph_view.instance, self._cloud)
        now = context.evaluation_time.timestamp()
        published = log.published()
        sites = auto_sites(self._cloud, load_settings(self._root))
        memory = Memory.of(context.cursor, published)
        # First: what was requested was requested for the contract of that time.
        _note_requests(memory, context)
        named = current_version(StateStore(self._root))
        memory = memory.owing(self._cloud, published, sites, named)
        for key in _settled(memory, log):
            del memory.owed[key]
        due: set[str] = set()
        for key, asked in memory.owed.items():
            last = log.last_run(key)
            if asked.is_due(last, now=now):
                due.add(key)
                asked.before = last.run_id if last is not None else None
        return dg.AutomationResult(context, _subset(context, due), cursor=memory.model_dump_json())


class Held(dg.AutomationCondition[dg.AssetKey]):
    """True for the candidates that nothing holds back. Why the others wait stands with them in the UI."""

    def __init__(self, cloud: Cloud, root: RuntimeRoot) -> None:
        self.cloud = cloud
        self._root = root

    @property
    def requires_cursor(self) -> bool:
        """It remembers nothing."""
        return False

    def why(self, keys: Collection[str], settings: Settings, log: SeedLog, *, now: float) -> Mapping[str, str]:
        """Return why cells wait, by cell; those that do not are left out."""
        raise NotImplementedError

    @bordered
    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return what need not wait."""
        keys = set(context.candidate_subset.expensively_compute_partition_keys())
        if not keys:
            return dg.AutomationResult(context, context.get_empty_subset())
        log = SeedLog(context.asset_graph_view.instance, self.cloud)
        waits = self.why(keys, load_settings(self._root), log, now=context.evaluation_time.timestamp())
        for key, why in sorted(waits.items()):
            context.log.info("%s %s", key, why)
        told = [
            AssetSubsetWithMetadata(
                _subset(
                    context, {key for key, given in waits.items() if given == why}
                ).convert_to_serializable_subset(),
                {"waits": dg.MetadataValue.text(why)},
            )
            for why in sorted(set(waits.values()))
        ]
        return dg.AutomationResult(context, _subset(context, keys - set(waits)), subsets_with_metadata=told)


class CanariesHold(Held):
    """Holds the sites that are no canaries until the cloud's canaries were seeded, held, and a pause went by."""

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "the cloud's canaries hold it, since seeding.rest_after_minutes"

    def why(self, keys: Collection[str], settings: Settings, log: SeedLog, *, now: float) -> Mapping[str, str]:
        """Return why cells wait for a canary."""
        return wave_waits(self.cloud, keys, settings, log, now=now)


class WithinDailyCap(Held):
    """Holds what would create more images in 24 hours than a site, or all of them, may."""

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "within the daily cap of paid seeds, its site's and all sites'"

    def why(self, keys: Collection[str], settings: Settings, log: SeedLog, *, now: float) -> Mapping[str, str]:
        """Return why cells wait for the cap; newer versions come first."""
        return cap_waits(keys, settings, log, now=now)


def seeds_by_themselves(cloud: Cloud, root: RuntimeRoot) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition under which a cloud's seeds are requested; only what costs money has a daily cap."""
    condition = dg.AutomationCondition
    ready = (
        ~condition.any_deps_missing()
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
    )
    waves = SeedsOwed(cloud, root) & ready & CanariesHold(cloud, root)
    return waves & WithinDailyCap(cloud, root) if cloud.name == "hetzner" else waves


def _note_requests(memory: Memory, context: dg.AutomationContext[dg.AssetKey]) -> None:
    """Count what the last tick really requested: other operands may have held back what was due."""
    requested = context.get_previous_requested_subset(context.key)
    before = context.previous_evaluation_time
    if requested is None or before is None:
        return
    for key in requested.expensively_compute_partition_keys():
        if (asked := memory.owed.get(str(key))) is not None:
            asked.times += 1
            asked.at = before.timestamp()


def _settled(memory: Memory, log: SeedLog) -> list[str]:
    """Return the owed cells whose last seed holds the very record that is owed."""
    digests = log.published_digests({asked.contract for asked in memory.owed.values()})
    seeded = log.seeded(memory.owed)
    return [
        key
        for key, asked in memory.owed.items()
        if key in seeded and seeded[key].record_digest == digests.get(asked.contract) != ""
    ]


def _subset(context: dg.AutomationContext[dg.AssetKey], keys: Collection[str]) -> Any:
    """Return cells as Dagster's subset of the asset, without enumerating the grid."""
    view, partitions = context.asset_graph_view, context.partitions_def
    if partitions is None:
        raise TypeError("a seed of this graph has partitions")
    known = partitions.filter_valid_partition_keys(set(keys)) if keys else set()
    return view.get_subset_from_partition_keys(context.key, partitions, known)
