"""The partitions of the graph: record versions, and versions by site for each cloud.

Keys of the seeds are written `<site>|<version>`: Dagster orders the dimensions by name. It tags a seed's run with its
site under the dimension's name: what the limit of one seed per site counts.
"""

from collections.abc import Iterable

import dagster as dg

from hyops_assets.contract.settings import Settings

VERSIONS = dg.DynamicPartitionsDefinition(name="vyos_record_version")
PROXMOX_SITES = dg.DynamicPartitionsDefinition(name="proxmox_site")
HETZNER_SITES = dg.DynamicPartitionsDefinition(name="hetzner_site")
PROXMOX_SEEDS = dg.MultiPartitionsDefinition({"proxmox_site": PROXMOX_SITES, "version": VERSIONS})
HETZNER_SEEDS = dg.MultiPartitionsDefinition({"hetzner_site": HETZNER_SITES, "version": VERSIONS})


def proxmox_seed(site: str, version: str) -> dg.MultiPartitionKey:
    """Return the partition key of one version at one Proxmox site."""
    return dg.MultiPartitionKey({"proxmox_site": site, "version": version})


def hetzner_seed(site: str, version: str) -> dg.MultiPartitionKey:
    """Return the partition key of one version at one Hetzner site."""
    return dg.MultiPartitionKey({"hetzner_site": site, "version": version})


def site_of(key: str) -> str:
    """Return the site in a seed's partition key, typed or as plain text.

    Dagster hands out both: what automation remembered from an earlier tick comes back as text. Counting the typed
    keys only would lose exactly the seeds that had to wait.

    Raises:
        ValueError: the key is not one of a seed.
    """
    site, separator, _ = key.partition("|")
    if not separator:
        message = f"a seed is partitioned by site and version, not by {key!r}"
        raise ValueError(message)
    return site


def add_version(instance: dg.DagsterInstance, version: str) -> None:
    """Make a record version a partition; nothing happens where it is one."""
    _add(instance, VERSIONS, [version])


def add_sites(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Make every configured site a partition. Sites that are no longer configured keep their history."""
    _add(instance, PROXMOX_SITES, settings.sites.proxmox)
    _add(instance, HETZNER_SITES, settings.sites.hetzner)


def _add(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: Iterable[str]) -> None:
    name = partitions.name
    if name is None:
        raise TypeError("a dynamic partition set of this graph has a name")
    new = sorted(set(keys) - set(instance.get_dynamic_partitions(name)))
    if new:
        instance.add_dynamic_partitions(name, new)
