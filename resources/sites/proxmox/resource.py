"""The Proxmox sites as a Dagster resource."""

import os
from pathlib import Path

import dagster as dg

from hyops_assets.settings.pipeline import Settings
from resources.environment import of_environment
from resources.secrets import require_proxies, secret
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.journal import SeedLimits
from resources.sites.proxmox.place import Node
from resources.sites.proxmox.seed import IsLive, ProxmoxSeeder


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
            UnusableSecret: it holds what no header takes, or a proxy's variable holds no URL of a proxy.
            SiteNotReady: the token's id or secret cannot be one.
        """
        require_proxies()
        site = self._settings.proxmox_site(site_name)
        bundle = os.environ.get("SSL_CERT_FILE")
        # requests reads REQUESTS_CA_BUNDLE by itself; the variable of OpenSSL and httpx it does not know.
        trust = Path(bundle) if bundle and "REQUESTS_CA_BUNDLE" not in os.environ else None
        client = ProxmoxClient(site, secret(site.token_env), patience_seconds=self._patience_seconds, ca_bundle=trust)
        return ProxmoxSeeder(client, site, limits=self._limits, is_live=is_live)

    def place(self, name: str, *, is_live: IsLive = lambda run_id: False) -> Node:
        """Return a site as a place that is seeded. Raises as `seeder` does."""
        seeder = self.seeder(name, is_live=is_live)
        return Node(seeder, name, environment=self.environment, is_live=is_live)


def proxmox_sites(*, poll_seconds: float = SeedLimits.poll, patience_seconds: float = 120.0) -> dg.ResourceDefinition:
    """Return the resource that makes seeders for one environment's Proxmox sites.

    At each run it raises:
        SettingsError: `pipeline.yml` does not validate.

    Args:
        poll_seconds: pause between two looks at a worker.
        patience_seconds: how long a node may be silent before a run gives up; restarts take a minute.
    """
    return of_environment(
        lambda environment: ProxmoxSeeders(
            environment.settings_to_write, limits=SeedLimits(poll=poll_seconds), patience_seconds=patience_seconds
        ),
        "The Proxmox sites of pipeline.yml.",
    )
