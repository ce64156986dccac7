"""Sweeping a project: the servers and keys that any dead run left, found by their labels and never by a name alone.

A seed clears what earlier runs of itself left. This is for the seeds that never run again. Decisions are pure; the
order of looking and removing is every cloud's (`resources/sites/cleanup.py`).
"""

from collections.abc import Callable
from datetime import datetime

from hyops_assets.contract.ownership import owner_of
from hyops_assets.contract.upkeep import Finding, IsLive, Verdict, judge_age
from resources.sites.cleanup import Judged, Removal
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import NotFound
from resources.sites.hetzner.inventory import Key, Server
from resources.sites.hetzner.labels import Labels, seeder_selector
from resources.sites.hetzner.leftovers import expiry_of


def judge_seeder(
    labels: Labels | None, created: datetime, *, environment: str | None, now: float, is_live: IsLive
) -> tuple[Verdict, str]:
    """Decide about a server or key that carries a label of ours, and say why.

    Args:
        labels: None where they are not whole, so that it cannot be said whose it is.
        created: when it was made, by Hetzner's clock.
        environment: the id of the one that sweeps; None where it has none.
        now: epoch seconds, by Hetzner's clock.
        is_live: of the run that the labels name.
    """
    if labels is None or labels.role != "seeder":
        return "by hand", "its labels are not whole: look whose it is in the Hetzner console"
    live = is_live(labels.run_id)
    owner = owner_of(labels.claim, environment, proven=live is not None)
    if owner.whose == "another's":
        return "keep", owner.why
    if not owner.ours:
        return "by hand", f"{owner.why}: look whose it is in the Hetzner console"
    return judge_age(labels.run_id, expiry_of(labels, created), now=now, is_live=lambda _: live)


class Sweep:
    """One look at one project.

    Args:
        client: of the project.
        where: the site's name.
        environment: the id of the one that sweeps; None where it has none.
        is_live: of the runs that labels name.
        clock: epoch seconds; Hetzner's own clock unless another is given.
    """

    def __init__(
        self,
        client: HetznerClient,
        where: str,
        *,
        environment: str | None,
        is_live: IsLive,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._where = where
        self._environment = environment
        self._is_live = is_live
        self._clock = clock or client.now
        self._servers = Removal(self._list_servers, self._server_again, self._remove_server)
        self._keys = Removal(self._list_keys, self._key_again, self._remove_key)

    def find(self) -> list[Finding]:
        """Return a finding for every server and key that says it serves a seed. Nothing is changed."""
        return [*self._servers.find(), *self._keys.find()]

    def reap(self) -> list[Finding]:
        """Remove the leftovers, servers before keys, and return what was found and what became of it."""
        return [*self._servers.reap(), *self._keys.reap()]

    def _list_servers(self) -> list[Judged[Server]]:
        return [self._judged_server(server) for server in self._client.list_servers(seeder_selector())]

    def _server_again(self, server: Server, finding: Finding) -> Judged[Server] | None:
        try:
            return self._judged_server(self._client.get_server(server.id))
        except NotFound:
            return None

    def _remove_server(self, server: Server, finding: Finding) -> Finding:
        self._client.delete_server(server)
        return finding.turned("removed")

    def _list_keys(self) -> list[Judged[Key]]:
        return [self._judged_key(key) for key in self._client.list_keys(seeder_selector())]

    def _key_again(self, key: Key, finding: Finding) -> Judged[Key] | None:
        now = self._client.find_key(key.name)
        return None if now is None or now.id != key.id else self._judged_key(now)

    def _remove_key(self, key: Key, finding: Finding) -> Finding:
        if self._client.find_server(key.name) is not None:
            # Without its key nothing gets into the server any more, whichever run is at work there.
            return finding.turned("keep", "a server of the same name is still there")
        self._client.delete_key(key)
        return finding.turned("removed")

    def _judged_server(self, server: Server) -> Judged[Server]:
        return server, self._judged(f"server {server.name} ({server.id})", server.labels, server.created)

    def _judged_key(self, key: Key) -> Judged[Key]:
        return key, self._judged(f"SSH key {key.name} ({key.id})", key.labels, key.created)

    def _judged(self, what: str, labels: dict[str, str], created: datetime) -> Finding:
        verdict, why = judge_seeder(
            Labels.parse(labels), created, environment=self._environment, now=self._clock(), is_live=self._is_live
        )
        return Finding(what, self._where, verdict, why)
