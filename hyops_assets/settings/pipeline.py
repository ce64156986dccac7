"""`pipeline.yml`, as typed settings. Secrets are named by environment variable, never written here.

Every setting has a default that works; a missing site is a typed error that says how to add one.
"""

from collections.abc import Iterable
from typing import Self, TypeVar

from pydantic import Field, PrivateAttr

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.errors import HyopsError, LeadsNowhere
from hyops_assets.settings.build import BuildSettings
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.notify import NotifySettings
from hyops_assets.settings.repository import RepositorySettings
from hyops_assets.settings.seeding import SeedingSettings
from hyops_assets.settings.signing_keys import SigningKey
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite, Sites
from hyops_assets.settings.upkeep import UpkeepSettings

Site = TypeVar("Site")


class SettingsError(HyopsError):
    """`pipeline.yml` is wrong, or lacks what was asked for."""


class NoSuchSite(SettingsError, LeadsNowhere):
    """A site that `pipeline.yml` does not have."""

    def __init__(self, kind: str, name: str, sites: Iterable[str]) -> None:
        known = ", ".join(sorted(sites)) or "none"
        super().__init__(
            f"no {kind} site {name!r} is configured (configured: {known})",
            hint=f"add it to config/pipeline.yml under sites.{kind}.{name or '<name>'}",
        )
        self.partition = f"{kind}/{name}"

    def of_partition(self, partition: str) -> None:
        """Add how the site's own partition is forgotten, which is not its cell's version."""
        super().of_partition(self.partition)


class Settings(Frozen):
    """All of `pipeline.yml`. `lab` is true in the file that `hyops lab up` wrote, and only there.

    The environment's id is no key of that file, which is copied from one environment to the next: it stands beside it.
    """

    lab: bool = Field(default=False, description="set by hyops lab up, never by hand")
    feed: FeedSettings = FeedSettings()
    build: BuildSettings = BuildSettings()
    repository: RepositorySettings = RepositorySettings()
    sites: Sites = Sites()
    notify: NotifySettings = NotifySettings()
    upkeep: UpkeepSettings = UpkeepSettings()
    seeding: SeedingSettings = SeedingSettings()
    _environment_id: str | None = PrivateAttr(default=None)

    @property
    def environment_id(self) -> str | None:
        """The id of the environment that these are the settings of; None before it wrote anything."""
        return self._environment_id

    def of_environment(self, environment_id: str | None) -> Self:
        """Return the same settings as those of an environment."""
        copy = self.model_copy()
        copy._environment_id = environment_id
        return copy

    @property
    def trusted_keys(self) -> list[SigningKey]:
        """The keys that may sign an ISO here: a lab's keys count in a lab only."""
        return [key for key in self.feed.keys if self.lab or not key.lab]

    def proxmox_site(self, name: str) -> ProxmoxSite:
        """Return a Proxmox site.

        Raises:
            NoSuchSite: it is not configured.
        """
        return _site(self.sites.proxmox, "proxmox", name)

    def hetzner_site(self, name: str) -> HetznerSite:
        """Return a Hetzner site.

        Raises:
            NoSuchSite: it is not configured.
        """
        return _site(self.sites.hetzner, "hetzner", name)


def _site(sites: dict[str, Site], kind: str, name: str) -> Site:
    if name not in sites:
        raise NoSuchSite(kind, name, sites)
    return sites[name]
