"""Superseded snapshots of a project: which they are, and how one is removed.

A snapshot goes only if this environment made it; if its labels are whole, and say `ready`; if no state mentions it; if
no server was made from it; and if what the site's active state names stands in the project, whole.
"""

from collections.abc import Mapping, Sequence

from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.superseding import IMAGES, Current, Held, NotSettled, mentioned
from hyops_assets.contract.upkeep import Finding, Verdict
from hyops_assets.settings.sites import HetznerSite
from resources.pruning import Ground, Pruning
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import MANAGED_BY, Labels


def superseded_snapshots(client: HetznerClient, site: HetznerSite, ground: Ground) -> Pruning[Snapshot]:
    """Return what is superseded in a site's project."""

    def look() -> list[tuple[Snapshot, Finding]]:
        return _look(client, site, ground)

    def remove(snapshot: Snapshot, finding: Finding) -> Finding:
        labels = Labels.parse(snapshot.labels)
        if labels is not None:
            ground.forget(labels.version)
        if snapshot.protected:
            client.unprotect_snapshot(snapshot)
            again = next((found for thing, found in look() if thing.id == snapshot.id), finding)
            if again.verdict != "remove":
                client.protect_snapshot(snapshot)
                return again
        client.delete_snapshot(snapshot)
        return finding.turned("removed")

    return Pruning(look, remove)


def require_current(current: Sequence[Current], snapshots: Sequence[Snapshot]) -> None:
    """Confirm that what the active states name stands in the project, whole.

    Raises:
        NotSettled: it does not, or it holds another version than the state says.
    """
    by_id = {str(snapshot.id): snapshot for snapshot in snapshots}
    for entry in current:
        snapshot = by_id.get(entry.ref)
        labels = Labels.parse(snapshot.labels) if snapshot else None
        if snapshot is None:
            problem = "which the project does not hold"
        elif snapshot.status != "available":
            problem = f"which is {snapshot.status}"
        elif labels is not None and (labels.state, labels.version) != ("ready", entry.version):
            problem = f"which is labelled {labels.version}, {labels.state}, not {entry.version}, ready"
        else:
            continue
        raise NotSettled(f"{entry.state} names snapshot {entry.ref}, {problem}", hint="seed the current version again")


def judge_snapshot(
    snapshot: Snapshot,
    *,
    owner: Owner | None,
    mentions: Mapping[str, str],
    used: Mapping[int, str],
    versions: Mapping[str, tuple[Verdict, str]],
    protect: bool,
) -> tuple[Verdict, str] | None:
    """Decide about one snapshot, and say why; None where it is no matter of ours.

    Args:
        snapshot: as the project shows it.
        owner: whose it is; None where its labels are not a whole set.
        mentions: what any state says, and which.
        used: ids of images that servers were made from, and a server's name for each.
        versions: what was decided by version, by id, of what is ours.
        protect: whether the site protects snapshots itself.
    """
    labels = Labels.parse(snapshot.labels)
    if labels is None or owner is None or owner.whose == "another's":
        return _of_others(snapshot, owner)
    if labels.role != "image":
        return "by hand", "labelled as what serves a seed, and a snapshot: look at it in the Hetzner console"
    for text in (str(snapshot.id), snapshot.description):
        if text in mentions:
            return "keep", f"{mentions[text]} names it"
    if snapshot.id in used:
        return "keep", f"server {used[snapshot.id]} was made from it"
    if not owner.ours:
        return "by hand", f"{owner.why}: if nothing needs it, hcloud image delete {snapshot.id}"
    if labels.state != "ready":
        return "keep", "its seed is not finished: the next seed of this version takes it up"
    if snapshot.status != "available":
        return "by hand", f"it is {snapshot.status}: look at it in the Hetzner console"
    verdict, why = versions[str(snapshot.id)]
    if verdict == "remove" and snapshot.protected and not protect:
        return "keep", "somebody protected it: the site's settings do not"
    return verdict, why


def _of_others(snapshot: Snapshot, owner: Owner | None) -> tuple[Verdict, str] | None:
    if owner is not None:
        return "keep", owner.why
    if "hyops_image_key" in snapshot.labels or snapshot.labels.get("hyops_managed_by") == MANAGED_BY:
        return "by hand", (
            f"HybridOps' labels, not a whole set of ours: if nothing needs it, hcloud image delete {snapshot.id}"
        )
    return None


def _look(client: HetznerClient, site: HetznerSite, ground: Ground) -> list[tuple[Snapshot, Finding]]:
    snapshots, states = client.list_snapshots(), ground.states()
    used = {server.image_id: server.name for server in client.list_servers() if server.image_id is not None}
    owners = {
        snapshot.id: ground.owner_of(labels.claim, str(snapshot.id))
        for snapshot in snapshots
        if (labels := Labels.parse(snapshot.labels)) is not None
    }
    held = [
        Held(str(snapshot.id), labels.key, labels.version, snapshot.created)
        for snapshot in snapshots
        if (labels := Labels.parse(snapshot.labels)) is not None
        and (labels.role, labels.state) == ("image", "ready")
        and owners[snapshot.id].ours
    ]
    versions = ground.judge(held, states, IMAGES, lambda current: require_current(current, snapshots))
    found: list[tuple[Snapshot, Finding]] = []
    for snapshot in snapshots:
        judged = judge_snapshot(
            snapshot,
            owner=owners.get(snapshot.id),
            mentions=mentioned(states),
            used=used,
            versions=versions,
            protect=site.protect,
        )
        if judged is not None:
            what = f"snapshot {snapshot.description or 'without a name'} ({snapshot.id})"
            found.append((snapshot, Finding(what, ground.where, *judged)))
    return found
