"""The Proxmox sites as a Dagster resource."""

import os
from pathlib import Path

import dagster as dg

from hyops_assets.settings.pipeline import Settings
from resources.environment import of_environment
from resources.secrets import require_proxies, secret
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.place import Node
from resources.sites.proxmox.seed import IsLive, ProxmoxSeeder
from resources.sites.proxmox.timeouts import ProxmoxTimeouts

OF_RUNS = ProxmoxTimeouts(outage=120.0)
"""A run waits longer than a person: a node's restart takes a minute."""


class ProxmoxSeeders:
    """Makes a seeder for each configured site. The token is read when a seeder is made, and kept nowhere else.

    Args:
        settings: the environment's.
        timeouts: how long to wait for what; short for a person who waits for an answer.
    """

    def __init__(self, settings: Settings, *, timeouts: ProxmoxTimeouts | None = None) -> None:
        self._settings = settings
        self._timeouts = timeouts

    @property
    def environment(self) -> str | None:
        """The id of the environment whose sites they are; None where it has none yet."""
        return self._settings.environment_id

    @property
    def uploads(self) -> bool:
        """Whether this host uploads records, which a node cannot download from a directory that is not served."""
        repository = self._settings.repository
        return repository.kind == "directory" and repository.public_base_url is None

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
        client = ProxmoxClient(site, secret(site.token_env), timeouts=self._timeouts, ca_bundle=trust)
        return ProxmoxSeeder(client, site, is_live=is_live)

    def place(self, name: str, *, is_live: IsLive = lambda run_id: False) -> Node:
        """Return a site as a place that is seeded. Raises as `seeder` does."""
        seeder = self.seeder(name, is_live=is_live)
        return Node(seeder, name, environment=self.environment, is_live=is_live, uploads=self.uploads)


def proxmox_sites(timeouts: ProxmoxTimeouts = OF_RUNS) -> dg.ResourceDefinition:
    """Return the resource that makes seeders for one environment's Proxmox sites.

    At each run it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return of_environment(
        lambda environment: ProxmoxSeeders(environment.settings_to_write, timeouts=timeouts),
        "The Proxmox sites of pipeline.yml.",
    )
