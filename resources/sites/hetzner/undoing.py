"""Undoing what named runs made in a project: their servers and keys, then their snapshots, and nothing else.

A thing is theirs where its labels, whole, name one of the runs. Each is read once more right before it goes.
"""

from collections.abc import Mapping

from hyops_assets.contract.upkeep import Finding, Needed
from resources.sites.cleanup import Judged, Removal
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import NotFound
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import Labels, seeder_selector
from resources.sites.hetzner.removal import delete_snapshot
from resources.sites.hetzner.sweep import Sweep


def undo(
    client: HetznerClient, where: str, environment: str | None, runs: frozenset[str], *, needed: Needed
) -> list[Finding]:
    """Remove what the runs made, and return what became of each. One that cannot be removed stops no other.

    Args:
        client: of the project.
        where: the site's name.
        environment: the id of the one whose runs they are.
        runs: ids of runs that have ended.
        needed: tells who needs a snapshot by now; that one stays.
    """
    swept = Sweep(client, where, environment=environment, is_live=lambda run_id: run_id not in runs).reap()
    done = [finding for finding in swept if finding.verdict in ("removed", "failed")]

    def look() -> list[Judged[Snapshot]]:
        theirs = [snapshot for snapshot in client.list_snapshots() if _made_by(snapshot.labels, runs)]
        return [(one, Finding(_name(one), where, "remove", "this run made it")) for one in theirs]

    def again(snapshot: Snapshot, finding: Finding) -> Judged[Snapshot] | None:
        try:
            now = client.get_snapshot(snapshot.id)
        except NotFound:
            return None
        why = _stays(client, now, runs, needed)
        return now, finding.turned("keep", why) if why else finding

    def remove(snapshot: Snapshot, finding: Finding) -> Finding:
        def judged_again() -> Finding:
            now = again(snapshot, finding)
            return finding if now is None else now[1]

        return delete_snapshot(client, snapshot, finding, judged_again)

    return done + Removal(look, again, remove).reap()


def remaining(client: HetznerClient, runs: frozenset[str]) -> list[str]:
    """Return what still carries the id of one of the runs: servers, keys, snapshots."""
    servers = [server for server in client.list_servers(seeder_selector()) if _made_by(server.labels, runs)]
    keys = [key for key in client.list_keys(seeder_selector()) if _made_by(key.labels, runs)]
    snapshots = [snapshot for snapshot in client.list_snapshots() if _made_by(snapshot.labels, runs)]
    return [
        *(f"server {server.name} ({server.id})" for server in servers),
        *(f"SSH key {key.name} ({key.id})" for key in keys),
        *(_name(snapshot) for snapshot in snapshots),
    ]


def _stays(client: HetznerClient, snapshot: Snapshot, runs: frozenset[str], needed: Needed) -> str | None:
    """Return why a snapshot stays, as it was just read; None where it may go."""
    if not _made_by(snapshot.labels, runs):
        return "its labels name another run by now"
    users = [server.name for server in client.list_servers() if server.image_id == snapshot.id]
    return f"server {users[0]} was made from it" if users else needed(str(snapshot.id))


def _made_by(labels: Mapping[str, str], runs: frozenset[str]) -> bool:
    written = Labels.parse(labels)
    return written is not None and written.run_id in runs


def _name(snapshot: Snapshot) -> str:
    return f"snapshot {snapshot.description or 'without a name'} ({snapshot.id})"
