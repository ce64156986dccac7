"""Forgetting a partition: a version that was mistyped, a site that is no longer configured.

What belongs here: what still refers to a partition, and its removal from Dagster's sets. Images, published objects,
documents and states stay as they are: a partition is a line in dialogs and grids, not a thing.
"""

from dataclasses import dataclass

import dagster as dg
from pydantic import JsonValue

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState
from hyops_assets.dagster_gaps import NOT_FINISHED_STATUSES
from hyops_assets.seeds.partitions import CLOUDS, VERSIONS, Cloud, cell_of
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.states.store import StateStore

_OF_A_VERSION = ("qcow2_record", "raw_xz_record", "published_contract")


class StillReferredTo(Refused):
    """A partition that is not forgotten, because something refers to it."""


@dataclass(frozen=True)
class Partition:
    """A partition by the set that holds it: `version`, or the name of a cloud for one of its sites."""

    kind: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "Partition":
        """Read `2026.03.03-0027-rolling`, or `<cloud>/<site>`."""
        for cloud in CLOUDS:
            if text.startswith(f"{cloud.name}/"):
                return cls(cloud.name, text.partition("/")[2])
        return cls("version", text)

    def __str__(self) -> str:
        return self.key if self.kind == "version" else f"{self.kind}/{self.key}"

    @property
    def cloud(self) -> Cloud | None:
        """Whose site it is; None for a version."""
        return next((cloud for cloud in CLOUDS if cloud.name == self.kind), None)

    @property
    def dimension(self) -> str:
        """The name of its set, in Dagster."""
        return self.cloud.dimension if self.cloud else str(VERSIONS.name)


@dataclass(frozen=True)
class Reference:
    """What refers to a partition; one that `holds` it would bring it back, or is at work on it."""

    what: str
    holds: bool = False


def references(
    partition: Partition, instance: dg.DagsterInstance, store: ArtifactStore, states: StateStore, settings: Settings
) -> list[Reference]:
    """Return what refers to a partition: runs that have not ended, settings, documents, states. Reads only.

    Raises:
        Refused: there is no such partition.
    """
    known = instance.get_dynamic_partitions(partition.dimension)
    if partition.key not in known:
        raise Refused(
            f"there is no partition {partition} (of its kind there are: {', '.join(sorted(known)) or 'none'})",
            hint=f"name a version, or {' or '.join(f'{cloud.name}/<site>' for cloud in CLOUDS)}",
        )
    cloud = partition.cloud
    configured = cloud is not None and partition.key in cloud.sites(settings)
    return [
        *(Reference(f"run {run} has not ended", holds=True) for run in _unfinished(partition, instance)),
        *(
            [Reference(f"sites.{partition.kind}.{partition.key} of config/pipeline.yml", holds=True)]
            if configured
            else []
        ),
        *(Reference(f"document {name}") for name in _documents(partition, store)),
        *(Reference(f"state {ref}") for ref, state in states.list() if _names(partition, ref, state)),
    ]


def forget(partition: Partition, found: list[Reference], instance: dg.DagsterInstance, *, referred_to: bool) -> None:
    """Take a partition out of its set. Its history stays in the event log.

    Args:
        partition: that is there.
        found: what refers to it.
        instance: of the environment.
        referred_to: forget it although documents or states refer to it.

    Raises:
        StillReferredTo: something holds it, or refers to it and `referred_to` is false.
    """
    if (kept := refusal(partition, found, referred_to=referred_to)) is not None:
        raise kept
    instance.delete_dynamic_partition(partition.dimension, partition.key)


def refusal(partition: Partition, found: list[Reference], *, referred_to: bool) -> StillReferredTo | None:
    """Return why a partition would not be forgotten; None where it would. See `forget`."""
    holding = [one.what for one in found if one.holds]
    if holding:
        return StillReferredTo(
            f"{partition} is not forgotten: {'; '.join(holding)}", hint="wait for its runs, or take the site out first"
        )
    if found and not referred_to:
        return StillReferredTo(
            f"{partition} is not forgotten: {'; '.join(one.what for one in found)}",
            hint="what refers to it stays usable from a shell; forget it all the same with --referred-to",
        )
    return None


def _unfinished(partition: Partition, instance: dg.DagsterInstance) -> list[str]:
    tags = [{f"dagster/partition/{'version' if partition.cloud is None else partition.dimension}": partition.key}]
    if partition.cloud is None:
        tags.append({"dagster/partition": partition.key})
    filters = [dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES), tags=one) for one in tags]
    return sorted({run.run_id for one in filters for run in instance.get_runs(one)})


def _documents(partition: Partition, store: ArtifactStore) -> list[str]:
    named = [
        f"{kind}/{partition.key}"
        for kind in _OF_A_VERSION
        if partition.cloud is None and partition.key in store.list_names(kind)
    ]
    for cloud in CLOUDS:
        if partition.cloud not in (None, cloud):
            continue
        kind, place = cloud.asset.to_user_string(), 0 if partition.cloud else 1
        named += [f"{kind}/{name}" for name in store.list_names(kind) if cell_of(name)[place] == partition.key]
    return named


def _names(partition: Partition, ref: StateRef, state: ModuleState) -> bool:
    """Tell whether a state is of a partition: it names the version, or is the site's own slot."""
    if partition.cloud is None:
        return any(_is_version(name, value, partition.key) for name, value in state.outputs.items())
    seeds = partition.cloud.spec.module.rpartition("/")[0]
    return ref.module.startswith(f"{seeds}/") and ref.instance == partition.key


def _is_version(name: str, value: JsonValue, version: str) -> bool:
    return name.endswith("_version") and value == version
