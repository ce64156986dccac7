"""What Dagster's instance knows of one cloud's seeds: who holds what, what runs, what was paid for.

What belongs here: reading events and runs, each with a number of queries that does not grow with the history.
What follows from it is decided in `contract/seed_policy.py`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterEventType

from hyops_assets.contract.seed_policy import DAY_SECONDS, Canary, Paid
from hyops_assets.dagster_gaps import NOT_FINISHED_STATUSES, PartitionKeyFilter
from hyops_assets.partitions import Cloud, cell_of

CONTRACT = dg.AssetKey("published_contract")
LINEAGE = "lineage_holds"
READ_BACK = "anonymous_read_back"
_PAID_OUTCOMES = {"created", "resumed"}
_MOST_IN_A_DAY = 5000


@dataclass(frozen=True)
class Seeded:
    """The last seed of a cell that ended well: which record, when, and how."""

    event: int
    at: float
    run_id: str
    record_digest: str
    outcome: str


@dataclass(frozen=True)
class PublishedContract:
    """The latest contract of a version: which event, when, and of which record."""

    event: int
    at: float
    record_digest: str


@dataclass(frozen=True)
class LastRun:
    """The last run that was to seed a cell."""

    run_id: str
    status: dg.DagsterRunStatus

    @property
    def failed(self) -> bool:
        """Whether it failed by itself; one that a person ended did not."""
        return self.status == dg.DagsterRunStatus.FAILURE

    @property
    def unfinished(self) -> bool:
        """Whether it waits in the queue or is at work."""
        return self.status in NOT_FINISHED_STATUSES


class SeedLog:
    """The seeds of one cloud, as one instance knows them."""

    def __init__(self, instance: dg.DagsterInstance, cloud: Cloud) -> None:
        self._instance = instance
        self.cloud = cloud

    def published(self) -> Mapping[str, int]:
        """Return the event of the latest contract of each version."""
        return self._instance.get_latest_storage_id_by_partition(CONTRACT, DagsterEventType.ASSET_MATERIALIZATION)

    def published_digests(self, events: Collection[int]) -> dict[int, str]:
        """Return the record digests of contracts, by event."""
        return {
            event.storage_id: (event.asset_materialization.tags or {}).get("dagster/data_version", "")
            for event in self._events(CONTRACT, events)
            if event.asset_materialization is not None
        }

    def contract(self, event: int) -> PublishedContract:
        """Return one contract by its event."""
        (found,) = self._events(CONTRACT, [event])
        return PublishedContract(event, found.timestamp, self.published_digests([event])[event])

    def contract_passed(self, version: str, event: int) -> bool:
        """Whether the anonymous read-back of a contract passed, which is its blocking check."""
        return self._judged(dg.AssetCheckKey(CONTRACT, READ_BACK), version, event) is True

    def seed_events(self, keys: Collection[str] | None = None) -> Mapping[str, int]:
        """Return the event of the latest seed that ended well, by partition key; of all cells where none are named."""
        if keys is not None and not keys:
            return {}
        return self._instance.get_latest_storage_id_by_partition(
            self.cloud.asset, DagsterEventType.ASSET_MATERIALIZATION, set(keys) if keys is not None else None
        )

    def seeded(self, keys: Collection[str]) -> dict[str, Seeded]:
        """Return the last seed that ended well of each of these cells, where there is one."""
        return dict(self._seeds(self.seed_events(keys).values()))

    def last_run(self, key: str) -> LastRun | None:
        """Return the last run that was to seed a cell, whoever asked for it."""
        site, version = cell_of(key)
        tags = {self.cloud.site_tag: site, "dagster/partition/version": version}
        runs = self._instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
        return LastRun(runs[0].run_id, runs[0].status) if runs else None

    def at_work(self, sites: Collection[str]) -> dict[str, str]:
        """Return the cells of these sites that are queued or being seeded, and their runs."""
        if not sites:
            return {}
        unfinished = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES, tags={self.cloud.site_tag: sorted(sites)})
        return {
            str(self.cloud.seed(run.tags[self.cloud.site_tag], run.tags["dagster/partition/version"])): run.run_id
            for run in self._instance.get_runs(unfinished)
            if "dagster/partition/version" in run.tags
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
        if not events:
            return []
        wanted = dg.AssetRecordsFilter(asset, storage_ids=list(events))
        return list(self._instance.fetch_materializations(wanted, limit=len(events)).records)


PAYING = "money is spent from here"


def _said(event: dg.EventLogRecord, name: str) -> str:
    """Return an entry of a materialization's metadata; empty where it has none."""
    materialization = event.asset_materialization
    value = materialization.metadata.get(name) if materialization is not None else None
    return str(value.value) if value is not None else ""
