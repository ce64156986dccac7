"""What Dagster's instance knows of one cloud's seeds: who holds what, what runs, what was asked for and paid for.

What belongs here: reading events and runs, each with a number of queries that does not grow with the history.
What follows from it is decided in `contract/seed_policy.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg
from dagster import DagsterEventType

from hyops_assets.contract.seed_policy import DAY_SECONDS, Canary, Paid
from hyops_assets.dagster_gaps import NOT_FINISHED_STATUSES, PartitionKeyFilter
from hyops_assets.seeds.partitions import VERSIONS, Cloud, cell_of

CONTRACT = dg.AssetKey("published_contract")
LINEAGE = "lineage_holds"
READ_BACK = "anonymous_read_back"
_PAID_OUTCOMES = {"created", "resumed"}
_MOST_IN_A_DAY = 5000
_MOST_IN_A_QUERY = 500
"""Values in one SQL condition: SQLite takes 32,766 at most, and Postgres plans long lists badly."""
VERSION_TAG = "dagster/partition/version"
PLAIN_PARTITION_TAG = "dagster/partition"


@dataclass(frozen=True)
class Seeded:
    """The last seed of a cell that ended well: which record, when, and how."""

    event: int
    at: float
    run_id: str
    record_digest: str
    outcome: str


@dataclass(frozen=True)
class Noted:
    """What an event of a contract or of a seed says, and will always say: when it was, and of which record."""

    event: int
    at: float
    record_digest: str


@dataclass(frozen=True)
class LastRun:
    """The last run that was to seed a cell."""

    run_id: str
    status: dg.DagsterRunStatus
    at: float

    @property
    def failed(self) -> bool:
        """Whether it failed by itself; one that a person ended did not."""
        return self.status == dg.DagsterRunStatus.FAILURE

    @property
    def unfinished(self) -> bool:
        """Whether it waits in the queue or is at work."""
        return self.status in NOT_FINISHED_STATUSES


@dataclass(frozen=True)
class Requested:
    """What was requested of a cell for one contract.

    Attributes:
        times: how often.
        at: when last.
        before: the cell's last run before that, which distinguishes the requested run from an older one.
    """

    times: int = 0
    at: float = 0.0
    before: str = ""


Notes = MutableMapping[str, dict[str, Noted]]
"""The last event that was read of each partition, by asset and partition.

Not by event: SQLite gives the number of a deleted last event to the next one, of whatever partition.
"""


class SeedLog:
    """The seeds of one cloud, as one instance knows them.

    Args:
        instance: of the environment.
        cloud: whose seeds are read.
        noted: what events say, which never changes: a sensor keeps it from one tick to the next.
    """

    def __init__(self, instance: dg.DagsterInstance, cloud: Cloud, noted: Notes | None = None) -> None:
        self._instance = instance
        self.cloud = cloud
        self._noted = noted if noted is not None else {}
        self._published: Mapping[str, int] | None = None

    def published(self) -> Mapping[str, int]:
        """Return the event of the latest contract of each version, as it was when this was asked first."""
        if self._published is None:
            self._published = self._instance.get_latest_storage_id_by_partition(
                CONTRACT, DagsterEventType.ASSET_MATERIALIZATION
            )
        return self._published

    def contracts(self, events: Mapping[str, int]) -> dict[str, Noted]:
        """Return the contracts of versions, of which the events are given."""
        noted = self._noted.setdefault(CONTRACT.to_user_string(), {})
        unread = [event for version, event in events.items() if version not in noted or noted[version].event != event]
        for event in self._events(CONTRACT, unread):
            if event.asset_materialization is not None and event.partition_key is not None:
                digest = (event.asset_materialization.tags or {}).get("dagster/data_version", "")
                noted[event.partition_key] = Noted(event.storage_id, event.timestamp, digest)
        return {
            version: noted[version]
            for version, event in events.items()
            if version in noted and noted[version].event == event
        }

    def known_seeds(self) -> Mapping[str, Noted]:
        """Return the last seed that was read of each cell; a later one may have ended since."""
        return self._noted.setdefault(self.cloud.asset.to_user_string(), {})

    def read_seeds(self, events: Mapping[str, int]) -> dict[str, Noted]:
        """Read the seeds of cells, of which the events are given; from now on they are known."""
        read = {
            key: Noted(seeded.event, seeded.at, seeded.record_digest) for key, seeded in self._seeds(events.values())
        }
        self._noted.setdefault(self.cloud.asset.to_user_string(), {}).update(read)
        return read

    def contract_passed(self, version: str, event: int) -> bool:
        """Whether the anonymous read-back of a contract passed, which is its blocking check."""
        return self._judged(dg.AssetCheckKey(CONTRACT, READ_BACK), version, event) is True

    def versions_at_work(self) -> dict[str, str]:
        """Return the versions that are being built, adopted or registered, and the runs that do it."""
        unfinished = self._instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
        return {run.tags[PLAIN_PARTITION_TAG]: run.run_id for run in unfinished if PLAIN_PARTITION_TAG in run.tags}

    def site_partitions(self) -> set[str]:
        """Return the sites of the cloud that are partitions."""
        return set(self._instance.get_dynamic_partitions(str(self.cloud.site_keys.name)))

    def version_partitions(self) -> set[str]:
        """Return the versions that are partitions."""
        return set(self._instance.get_dynamic_partitions(str(VERSIONS.name)))

    def seed_events(self, keys: Collection[str] | None = None) -> Mapping[str, int]:
        """Return the event of the latest seed that ended well, by partition key.

        Args:
            keys: the cells that the caller asks about; of many of them, and without any, all cells are returned.
        """
        if keys is None or len(keys) > _MOST_IN_A_QUERY:
            # One pass over the index of all is faster than a long list of cells.
            return self._instance.get_latest_storage_id_by_partition(
                self.cloud.asset, DagsterEventType.ASSET_MATERIALIZATION
            )
        if not keys:
            return {}
        return self._instance.get_latest_storage_id_by_partition(
            self.cloud.asset, DagsterEventType.ASSET_MATERIALIZATION, set(keys)
        )

    def seeded(self, keys: Collection[str]) -> dict[str, Seeded]:
        """Return the last seed that ended well of each of these cells, where there is one."""
        found = self.seed_events(keys)
        return dict(self._seeds([found[key] for key in keys if key in found]))

    def last_run(self, key: str) -> LastRun | None:
        """Return the last run that was to seed a cell, from a shell, the UI or the daemon."""
        return self.last_runs([key]).get(key)

    def last_runs(self, keys: Collection[str]) -> dict[str, LastRun]:
        """Return the last run that was to seed each of these cells: one query for each version among them."""
        found: dict[str, LastRun] = {}
        for version in sorted({cell_of(key)[1] for key in keys}):
            sites = sorted({site for site, own in map(cell_of, keys) if own == version})
            tags = {VERSION_TAG: version, self.cloud.site_tag: sites if len(sites) > 1 else sites[0]}
            # Newest first.
            for record in self._instance.get_run_records(dg.RunsFilter(tags=tags)):
                run = record.dagster_run
                key = self.cloud.key(run.tags[self.cloud.site_tag], version)
                found.setdefault(key, LastRun(run.run_id, run.status, record.create_timestamp.timestamp()))
        return found

    def requested(self, contracts: Mapping[str, int]) -> dict[str, Requested]:
        """Return how often each of these cells was requested for its contract.

        Args:
            contracts: the event of the contract that each cell is owed, by partition key.
        """
        found: dict[str, Requested] = {}
        for keys in _chunks(sorted(contracts)):
            wanted = dg.AssetRecordsFilter(
                self.cloud.asset,
                asset_partitions=keys,
                after_storage_id=min(contracts[key] for key in keys),
            )
            for event in self._observations(wanted):
                key, observed = event.partition_key, event.asset_observation
                if key is None or observed is None or REQUEST not in observed.metadata:
                    continue
                if _text(observed.metadata, "contract") == str(contracts[key]):
                    times = found.get(key, Requested()).times + 1
                    found[key] = Requested(times, event.timestamp, _text(observed.metadata, "before"))
        return found

    def request(self, key: str, *, contract: int, attempt: int, before: str) -> dg.AssetObservation:
        """Return the note that a request leaves in the log: it stays where the requested run is deleted."""
        return dg.AssetObservation(
            self.cloud.asset,
            partition=key,
            description=f"requested by itself, attempt {attempt}",
            metadata={
                REQUEST: dg.MetadataValue.int(attempt),
                "contract": dg.MetadataValue.text(str(contract)),
                "before": dg.MetadataValue.text(before),
            },
        )

    def at_work(self, sites: Collection[str]) -> dict[str, str]:
        """Return the cells of these sites that are queued or being seeded, and their runs."""
        if not sites:
            return {}
        unfinished = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES, tags={self.cloud.site_tag: sorted(sites)})
        return {
            self.cloud.key(run.tags[self.cloud.site_tag], run.tags[VERSION_TAG]): run.run_id
            for run in self._instance.get_runs(unfinished)
            if VERSION_TAG in run.tags
        }

    def lineage_held(self, key: str, seeded: Seeded) -> bool | None:
        """Return what the lineage check said of a seed; None where it did not look at it, or could not."""
        return self._judged(dg.AssetCheckKey(self.cloud.asset, LINEAGE), key, seeded.event)

    def canary(self, site: str, version: str, record_digest: str) -> Canary:
        """Return what is known of one version at a canary site."""
        key = str(self.cloud.seed(site, version))
        seeded = self.seeded([key]).get(key)
        if seeded is not None and seeded.record_digest == record_digest:
            return Canary(site, seeded_at=seeded.at, held=self.lineage_held(key, seeded))
        run = self.last_run(key)
        return Canary(site, failed_run=run.run_id if run is not None and run.failed else None)

    def created(self, *, now: float) -> list[tuple[Paid, str]]:
        """Return what was created in the last 24 hours, each with its run. What was adopted cost nothing."""
        events = self._instance.fetch_materializations(
            dg.AssetRecordsFilter(self.cloud.asset, after_timestamp=now - DAY_SECONDS), limit=_MOST_IN_A_DAY
        ).records
        made = ((event.partition_key, event.timestamp, event.run_id, _said(event, "outcome")) for event in events)
        return [
            (Paid(cell_of(key)[0], at), run_id)
            for key, at, run_id, outcome in made
            if key is not None and outcome in _PAID_OUTCOMES
        ]

    def paid_before(self, run_id: str, is_live: Callable[[str], bool], *, now: float) -> list[Paid]:
        """Return what counts before a run may pay: what was created, and what began to pay earlier and is at work.

        The run has noted its own beginning (`paying`) before it asks: of two that ask at once, the log's order
        decides, so that both cannot be the last one allowed.
        """
        created = self.created(now=now)
        settled = {made_by for _, made_by in created}
        begun = self._instance.fetch_observations(
            dg.AssetRecordsFilter(self.cloud.asset, after_timestamp=now - DAY_SECONDS), limit=_MOST_IN_A_DAY
        ).records
        mine = min((event.storage_id for event in begun if event.run_id == run_id), default=None)
        others = (
            event
            for event in begun
            if event.run_id != run_id
            and event.run_id not in settled
            and (mine is None or event.storage_id < mine)
            and event.asset_observation is not None
            and PAYING in event.asset_observation.metadata
            and is_live(event.run_id)
        )
        return [paid for paid, _ in created] + [
            Paid(cell_of(event.partition_key)[0], event.timestamp) for event in others if event.partition_key
        ]

    def paying(self, key: str) -> dg.AssetObservation:
        """Return the note that a run leaves in the log before it pays for a server and a snapshot."""
        return dg.AssetObservation(
            self.cloud.asset, partition=key, metadata={PAYING: dg.MetadataValue.text("a server, then a snapshot")}
        )

    def _judged(self, check: dg.AssetCheckKey, key: str, event: int) -> bool | None:
        """Return a check's latest word on a materialization, or on a later one of its partition; None without one."""
        latest = self._instance.event_log_storage.get_asset_check_execution_history(
            check, limit=5, partition_filter=PartitionKeyFilter(key=key)
        )
        for execution in latest:
            evaluation = execution.evaluation
            looked_at = evaluation.target_materialization_data if evaluation else None
            if evaluation is not None and looked_at is not None and looked_at.storage_id >= event:
                return evaluation.passed
        return None

    def _seeds(self, events: Iterable[int]) -> Iterable[tuple[str, Seeded]]:
        for event in self._events(self.cloud.asset, list(events)):
            if event.partition_key is not None:
                yield (
                    event.partition_key,
                    Seeded(
                        event.storage_id,
                        event.timestamp,
                        event.run_id,
                        _said(event, "record_digest"),
                        _said(event, "outcome"),
                    ),
                )

    def _events(self, asset: dg.AssetKey, events: Collection[int]) -> list[dg.EventLogRecord]:
        found: list[dg.EventLogRecord] = []
        for ids in _chunks(list(events)):
            wanted = dg.AssetRecordsFilter(asset, storage_ids=ids)
            found += self._instance.fetch_materializations(wanted, limit=len(ids)).records
        return found

    def _observations(self, wanted: dg.AssetRecordsFilter) -> Iterator[dg.EventLogRecord]:
        """Yield observations, oldest first."""
        cursor: str | None = None
        while True:
            page = self._instance.fetch_observations(wanted, limit=_MOST_IN_A_QUERY, cursor=cursor, ascending=True)
            yield from page.records
            if not page.has_more:
                return
            cursor = page.cursor


PAYING = "money is spent from here"
REQUEST = "request"


T = TypeVar("T")


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield as many values at a time as one query takes."""
    for start in range(0, len(values), _MOST_IN_A_QUERY):
        yield values[start : start + _MOST_IN_A_QUERY]


def _said(event: dg.EventLogRecord, name: str) -> str:
    """Return an entry of a materialization's metadata; empty where it has none."""
    materialization = event.asset_materialization
    return _text(materialization.metadata, name) if materialization is not None else ""


def _text(metadata: Mapping[str, dg.MetadataValue], name: str) -> str:
    value = metadata.get(name)
    return str(value.value) if value is not None else ""
