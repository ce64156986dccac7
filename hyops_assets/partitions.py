"""The partitions of the graph: record versions, and versions by site for each cloud.

Keys of the seeds are written `<site>|<version>`: Dagster orders the dimensions by name. It tags a seed's run with its
site under the dimension's name: what the limit of one seed per site counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite

VERSIONS = dg.DynamicPartitionsDefinition(name="vyos_record_version")
PROXMOX_SITES = dg.DynamicPartitionsDefinition(name="proxmox_site")
HETZNER_SITES = dg.DynamicPartitionsDefinition(name="hetzner_site")
PROXMOX_SEEDS = dg.MultiPartitionsDefinition({"proxmox_site": PROXMOX_SITES, "version": VERSIONS})
HETZNER_SEEDS = dg.MultiPartitionsDefinition({"hetzner_site": HETZNER_SITES, "version": VERSIONS})


@dataclass(frozen=True)
class Cloud:
    """One kind of site: which asset is seeded there, and how its partitions are named."""

    name: Literal["proxmox", "hetzner"]
    asset: dg.AssetKey
    seeds: dg.MultiPartitionsDefinition
    dimension: str

    @property
    def site_tag(self) -> str:
        """The run tag that Dagster writes for a seed's site: what limits count, and runs are found by."""
        return f"dagster/partition/{self.dimension}"

    def seed(self, site: str, version: str) -> dg.MultiPartitionKey:
        """Return the partition key of one version at one site."""
        return dg.MultiPartitionKey({self.dimension: site, "version": version})

    @property
    def sites_set(self) -> dg.DynamicPartitionsDefinition:
        """The partitions of this kind's sites."""
        return PROXMOX_SITES if self.name == "proxmox" else HETZNER_SITES

    def key(self, site: str, version: str) -> str:
        """Return a seed's partition key as plain text: as `seed` writes it, at a fiftieth of the cost."""
        return f"{site}|{version}"

    def sites(self, settings: Settings) -> Mapping[str, ProxmoxSite | HetznerSite]:
        """Return the configured sites of this kind."""
        return settings.sites.proxmox if self.name == "proxmox" else settings.sites.hetzner


PROXMOX = Cloud("proxmox", dg.AssetKey("proxmox_template"), PROXMOX_SEEDS, "proxmox_site")
HETZNER = Cloud("hetzner", dg.AssetKey("hetzner_image"), HETZNER_SEEDS, "hetzner_site")
CLOUDS = (PROXMOX, HETZNER)


def proxmox_seed(site: str, version: str) -> dg.MultiPartitionKey:
    """Return the partition key of one version at one Proxmox site."""
    return PROXMOX.seed(site, version)


def hetzner_seed(site: str, version: str) -> dg.MultiPartitionKey:
    """Return the partition key of one version at one Hetzner site."""
    return HETZNER.seed(site, version)


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
    _add(instance, PROXMOX_SITES, settings.sites.proxmox)
    _add(instance, HETZNER_SITES, settings.sites.hetzner)


def _add(instance: dg.DagsterInstance, partitions: dg.DynamicPartitionsDefinition, keys: Iterable[str]) -> None:
    name = partitions.name
    if name is None:
        raise TypeError("a dynamic partition set of this graph has a name")
    new = sorted(set(keys) - set(instance.get_dynamic_partitions(name)))
    if new:
        instance.add_dynamic_partitions(name, new)
