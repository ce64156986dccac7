"""The partitions of the graph: record versions, and versions by site for each cloud.

Keys of the seeds are written `<site>|<version>`: Dagster orders the dimensions by name. It tags a seed's run with its
site under the dimension's name: what the limit of one seed per site counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import dagster as dg

from hyops_assets.contract.version import BadVersion, RecordVersion
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import AnySite
from resources.sites.base import CloudSpec
from resources.sites.registry import CLOUDS as ROWS

VERSIONS = dg.DynamicPartitionsDefinition(name="vyos_record_version")


@dataclass(frozen=True)
class Cloud:
    """A cloud of the registry in the graph: which asset is seeded there, and how its partitions are named."""

    spec: CloudSpec

    @property
    def name(self) -> str:
        """Its section below `sites` in `pipeline.yml`."""
        return self.spec.name

    @property
    def asset(self) -> dg.AssetKey:
        """The asset that is seeded there."""
        return dg.AssetKey(self.spec.asset)

    @property
    def dimension(self) -> str:
        """The name of the set of its sites, in Dagster."""
        return f"{self.name}_site"

    @cached_property
    def site_keys(self) -> dg.DynamicPartitionsDefinition:
        """The partitions that are its sites."""
        return dg.DynamicPartitionsDefinition(name=self.dimension)

    @cached_property
    def seeds(self) -> dg.MultiPartitionsDefinition:
        """The partitions of its seeds: sites by versions."""
        return dg.MultiPartitionsDefinition({self.dimension: self.site_keys, "version": VERSIONS})

    @property
    def site_tag(self) -> str:
        """The run tag that Dagster writes for a seed's site: what limits count, and runs are found by."""
        return f"dagster/partition/{self.dimension}"

    def seed(self, site: str, version: str) -> dg.MultiPartitionKey:
        """Return the partition key of one version at one site."""
        return dg.MultiPartitionKey({self.dimension: site, "version": version})

    def key(self, site: str, version: str) -> str:
        """Return a seed's partition key as plain text: as `seed` writes it, at a fiftieth of the cost."""
        return f"{site}|{version}"

    def sites(self, settings: Settings) -> Mapping[str, AnySite]:
        """Return the configured sites of this kind."""
        return settings.sites.of(self.name)


def versions_of(instance: dg.DagsterInstance) -> list[RecordVersion]:
    """Return the record versions that are partitions; what was added by hand and is none is left out."""
    parsed = map(version_of, instance.get_dynamic_partitions(str(VERSIONS.name)))
    return [version for version in parsed if version is not None]


def version_of(partition: str) -> RecordVersion | None:
    """Return the version that a partition stands for; None for one that was added by hand and is none."""
    try:
        return RecordVersion.parse(partition)
    except BadVersion:
        return None


CLOUDS = tuple(Cloud(row) for row in ROWS)


def cloud_named(name: str) -> Cloud:
    """Return a cloud of the registry.

    Raises:
        KeyError: there is none of that name.
    """
    return {cloud.name: cloud for cloud in CLOUDS}[name]


def site_of(key: str) -> str:
    """Return the site in a seed's partition key, typed or as plain text.

    See `cell_of`.
    """
    return cell_of(key)[0]


def cell_of(key: str) -> tuple[str, str]:
    """Return site and version of a seed's partition key, typed or as plain text.

    Dagster hands out both: what the log holds comes back as text.

    Raises:
        ValueError: the key is not one of a seed.
    """
    site, separator, version = key.partition("|")
    if not separator:
        message = f"a seed is partitioned by site and version, not by {key!r}"
        raise ValueError(message)
    return site, version


def add_version(instance: dg.DagsterInstance, version: str) -> None:
    """Make a record version a partition; nothing happens where it is one."""
    _add(instance, VERSIONS, [version])


def add_sites(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Make every configured site a partition. Sites that are no longer configured keep their history."""
    for cloud in CLOUDS:
        _add(instance, cloud.site_keys, cloud.sites(settings))


def _add(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: Iterable[str]) -> None:
    name = partitions.name
    if name is None:
        raise TypeError("a dynamic partition set of this graph has a name")
    new = sorted(set(keys) - set(instance.get_dynamic_partitions(name)))
    if new:
        instance.add_dynamic_partitions(name, new)
