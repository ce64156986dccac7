"""Sweeping a project: the servers and keys that any dead run left, found by their labels and never by a name alone.

A seed clears what earlier runs of itself left. This is for the seeds that never run again. Decisions are pure; what
removes a thing reads it once more, and decides once more, right before.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.ownership import owner_of
from hyops_assets.contract.upkeep import Finding, IsLive, Verdict, judge_age
from resources.border import said_of
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import NotFound
from resources.sites.hetzner.inventory import Key, Server
from resources.sites.hetzner.labels import Labels, seeder_selector
from resources.sites.hetzner.leftovers import expiry_of

Thing = TypeVar("Thing", Server, Key)


def judge_seeder(
    labels: Labels | None, created: datetime, *, environment: str | None, now: float, is_live: IsLive
) -> tuple[Verdict, str]:
    """Decide about a server or key that carries a label of ours, and say why.

    Args:
        labels: None where they are not whole, so that nobody can say whose it is.
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

    def find(self) -> list[Finding]:
        """Return a finding for every server and key that says it serves a seed. Nothing is changed."""
        return [finding for _, finding in [*self._servers(), *self._keys()]]

    def reap(self) -> list[Finding]:
        """Remove the leftovers, servers before keys, and return what was found and what became of it.

        One that cannot be removed stops no other.
        """
        done = [self._removed(server, finding, self._remove_server) for server, finding in self._servers()]
        return done + [self._removed(key, finding, self._remove_key) for key, finding in self._keys()]

    def _servers(self) -> list[tuple[Server, Finding]]:
        return [(server, self._of_server(server)) for server in self._client.list_servers(seeder_selector())]

    def _keys(self) -> list[tuple[Key, Finding]]:
        return [(key, self._of_key(key)) for key in self._client.list_keys(seeder_selector())]

    def _of_server(self, server: Server) -> Finding:
        return self._judged(f"server {server.name} ({server.id})", server.labels, server.created)

    def _of_key(self, key: Key) -> Finding:
        return self._judged(f"SSH key {key.name} ({key.id})", key.labels, key.created)

    def _judged(self, what: str, labels: dict[str, str], created: datetime) -> Finding:
        verdict, why = judge_seeder(
            Labels.parse(labels), created, environment=self._environment, now=self._clock(), is_live=self._is_live
        )
        return Finding(what, self._where, verdict, why)

    def _removed(self, thing: Thing, finding: Finding, remove: Callable[[Thing, Finding], Finding]) -> Finding:
        if finding.verdict != "remove":
            return finding
        try:
            return remove(thing, finding)
        except HyopsError as error:
            return finding.turned("failed", f"{finding.why}; {said_of(error)}")

    def _remove_server(self, server: Server, finding: Finding) -> Finding:
        try:
            now = self._client.get_server(server.id)
        except NotFound:
            return finding.turned("removed", "gone meanwhile")
        again = self._of_server(now)
        if again.verdict != "remove":
            return again
        self._client.delete_server(now)
        return finding.turned("removed")

    def _remove_key(self, key: Key, finding: Finding) -> Finding:
        now = self._client.find_key(key.name)
        if now is None or now.id != key.id:
            return finding.turned("removed", "gone meanwhile")
        again = self._of_key(now)
        if again.verdict != "remove":
            return again
        if self._client.find_server(key.name) is not None:
            # Without its key nobody gets into the server any more, whoever is at work there.
            return finding.turned("keep", "a server of the same name is still there")
        self._client.delete_key(now)
        return finding.turned("removed")
