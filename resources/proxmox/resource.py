"""The Proxmox sites as a Dagster resource."""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from resources.proxmox.client import ProxmoxClient
from resources.proxmox.journal import SeedLimits
from resources.proxmox.seed import IsLive, ProxmoxSeeder
from resources.secrets import secret
from resources.settings import settings_to_write


class ProxmoxSeeders:
    """Makes a seeder for each configured site. The token is read when a seeder is made, and kept nowhere else.

    Args:
        settings: the environment's.
        limits: how long a seed waits for what.
        patience_seconds: how long a node may be silent; short for a person who waits for an answer.
    """

    def __init__(
        self, settings: Settings, *, limits: SeedLimits | None = None, patience_seconds: float = 15.0
    ) -> None:
        self._settings = settings
        self._limits = limits
        self._patience_seconds = patience_seconds

    @property
    def environment(self) -> str | None:
        """The id of the environment whose sites they are; None where it has none yet."""
        return self._settings.environment_id

    def seeder(self, site_name: str, *, is_live: IsLive = lambda run_id: False) -> ProxmoxSeeder:
        """Return the seeder of a site.

        Args:
            site_name: as in `pipeline.yml`.
            is_live: tells whether another run is still at work; what it builds is then no leftover.

        Raises:
            SettingsError: no such site is configured.
            MissingSecret: the variable with the site's token is unset.
            SiteNotReady: the token's id or secret cannot be one.
        """
        site = self._settings.proxmox_site(site_name)
        bundle = os.environ.get("SSL_CERT_FILE")
        # requests reads REQUESTS_CA_BUNDLE by itself; the variable of OpenSSL and httpx it does not know.
        trust = Path(bundle) if bundle and "REQUESTS_CA_BUNDLE" not in os.environ else None
        client = ProxmoxClient(site, secret(site.token_env), patience_seconds=self._patience_seconds, ca_bundle=trust)
        return ProxmoxSeeder(client, site, limits=self._limits, is_live=is_live)


class ProxmoxSites(dg.ConfigurableResource[ProxmoxSeeders]):
    """The Proxmox sites of an environment's `pipeline.yml`."""

    root: str = Field(description="runtime root of the environment, such as ~/.hybridops/envs/dev")
    poll_seconds: float = Field(default=SeedLimits.poll, description="pause between two looks at a worker")
    patience_seconds: float = Field(
        default=120.0, description="how long a node may be silent before a run gives up; restarts take a minute"
    )

    def create_resource(self, context: dg.InitResourceContext) -> ProxmoxSeeders:
        """Return the maker of seeders.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
        """
        settings = settings_to_write(RuntimeRoot(Path(self.root)))
        return ProxmoxSeeders(
            settings, limits=SeedLimits(poll=self.poll_seconds), patience_seconds=self.patience_seconds
        )
