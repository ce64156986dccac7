"""Hetzner sites as a Dagster resource: settings and token are read at every run."""

from typing import TYPE_CHECKING

import dagster as dg

from hyops_assets.contract.upkeep import IsLive
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite
from resources.environment import of_environment
from resources.secrets import require_proxies, secret
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.place import Project
from resources.sites.hetzner.timeouts import HetznerTimeouts

if TYPE_CHECKING:
    from resources.sites.hetzner.seed import HetznerSeeder


class HetznerProjects:
    """The projects that `pipeline.yml` names. A token is read when its site is asked for, not before."""

    def __init__(self, settings: Settings, *, timeouts: HetznerTimeouts | None = None) -> None:
        self._settings = settings
        self._timeouts = timeouts

    @property
    def environment(self) -> str | None:
        """The id of the environment whose sites they are; None where it has none yet."""
        return self._settings.environment_id

    def seeder(self, site_name: str, *, is_live: IsLive = lambda run_id: False) -> "HetznerSeeder":
        """Return the seeder of a site.

        Args:
            site_name: as in `pipeline.yml`.
            is_live: tells whether another run is still at work; its server is then no leftover.

        Raises:
            SettingsError: no such site.
            MissingSecret: the token's variable is unset.
        """
        # Here, as it loads AsyncSSH: most of a second that every start of the graph would pay.
        from resources.sites.hetzner.seed import HetznerSeeder

        return HetznerSeeder(self.client(site_name), self._settings.hetzner_site(site_name), is_live=is_live)

    def place(self, name: str, *, is_live: IsLive = lambda run_id: False) -> Project:
        """Return a site as a place that is seeded. Raises as `seeder` does."""
        site = self._settings.hetzner_site(name)
        return Project(self.client(name), site, name, environment=self.environment, is_live=is_live)

    def client(self, site_name: str) -> HetznerClient:
        """Return the API client of a site. Raises as `seeder` does."""
        return client_of(self._settings.hetzner_site(site_name), timeouts=self._timeouts)


def client_of(site: HetznerSite, *, timeouts: HetznerTimeouts | None = None) -> HetznerClient:
    """Return the API client of a site, with the token from the variable that the site names.

    Raises:
        MissingSecret: the variable is unset.
        UnusableSecret: it holds what no header takes, or a proxy's variable holds no URL of a proxy.
    """
    require_proxies()
    return HetznerClient(site.endpoint, secret(site.token_env), timeouts=timeouts)


def hetzner_sites() -> dg.ResourceDefinition:
    """Return the resource of one environment's Hetzner projects.

    At each run it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return of_environment(
        lambda environment: HetznerProjects(environment.settings_to_write), "The Hetzner sites of pipeline.yml."
    )
