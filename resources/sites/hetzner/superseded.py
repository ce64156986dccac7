"""Superseded snapshots of a project: what they say, what uses them, and how one is removed.

A snapshot goes only if this environment made it; if its labels are whole, and say `ready`; if no state mentions it; if
no server was made from it; and if what the site's active state names stands in the project, whole. The order of
looking and removing, and the judge, are every cloud's (`resources/sites/cleanup.py`).
"""

from collections.abc import Callable, Mapping, Sequence

from hyops_assets.contract.superseding import IMAGES, Current, HeldImage
from hyops_assets.contract.upkeep import Finding, Verdict
from hyops_assets.settings.sites import HetznerSite
from resources.sites.cleanup import CleanupContext, Removal, SiteObject, superseded
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import MANAGED_BY, Labels
from resources.sites.hetzner.removal import delete_snapshot


def superseded_snapshots(
    client: HetznerClient, site: HetznerSite, ground: CleanupContext
) -> Removal[SiteObject[Snapshot]]:
    """Return what is superseded in a site's project."""
    return superseded(Snapshots(client, protect=site.protect), ground)


class Snapshots:
    """The snapshots of a project that say, or half say, that they are ours.

    Args:
        client: of the project.
        protect: whether the site protects snapshots itself.
    """

    words = IMAGES
    noun = "snapshot"

    def __init__(self, client: HetznerClient, *, protect: bool) -> None:
        self._client = client
        self._protect = protect

    def list(self) -> list[SiteObject[Snapshot]]:
        """Read every snapshot of the project: states may name those of others."""
        return [standing(snapshot, protect=self._protect) for snapshot in self._client.list_snapshots()]

    def used_by(self, found: Sequence[SiteObject[Snapshot]]) -> Mapping[str, str]:
        """Read which servers were made from one."""
        servers = self._client.list_servers()
        made = {str(one.image_id): one.name for one in servers if one.image_id is not None}
        return {ref: f"server {name} was made from it" for ref, name in made.items()}

    def problem(self, entry: Current, found: Sequence[SiteObject[Snapshot]]) -> str | None:
        """Return why what a state names does not stand in the project, whole."""
        snapshot = next((one.thing for one in found if one.ref == entry.ref), None)
        labels = Labels.parse(snapshot.labels) if snapshot else None
        if snapshot is None:
            return "which the project does not hold"
        if snapshot.status != "available":
            return f"which is {snapshot.status}"
        if labels is not None and (labels.state, labels.version) != ("ready", entry.version):
            return f"which is labelled {labels.version}, {labels.state}, not {entry.version}, ready"
        return None

    def spent(self, ours: Sequence[SiteObject[Snapshot]]) -> Mapping[str, str]:
        """Return nothing: each snapshot is made for its own sake."""
        return {}

    def remove(
        self, thing: Snapshot, finding: Finding, again: Callable[[], Finding], forget: Callable[[str], object]
    ) -> Finding:
        """Delete a snapshot; right before that its version is forgotten; one that is kept is still expected."""
        labels = Labels.parse(thing.labels)

        def before() -> None:
            if labels is not None:
                forget(labels.version)

        return delete_snapshot(self._client, thing, finding, again, before=before)


def standing(snapshot: Snapshot, *, protect: bool) -> SiteObject[Snapshot]:
    """Return what a snapshot says, as the project shows it; `protect` as the site's settings say."""
    labels, ref = Labels.parse(snapshot.labels), str(snapshot.id)
    unfit: tuple[Verdict, str] | None = None
    if labels is not None and labels.state != "ready":
        unfit = "keep", "its seed is not finished: the next seed of this version takes it up"
    elif snapshot.status != "available":
        unfit = "by hand", f"it is {snapshot.status}: look at it in the Hetzner console"
    ready = labels is not None and (labels.role, labels.state) == ("image", "ready")
    return SiteObject(
        thing=snapshot,
        ref=ref,
        what=f"snapshot {snapshot.description or 'without a name'} ({snapshot.id})",
        names=(ref, snapshot.description),
        claim=labels.claim if labels else None,
        by_hand=f"hcloud image delete {snapshot.id}",
        held=HeldImage(ref, labels.key, labels.version, snapshot.created) if labels and ready else None,
        beyond=_beyond(snapshot, labels),
        unfit=unfit,
        protected="somebody protected it: the site's settings do not" if snapshot.protected and not protect else None,
        ours=labels is not None or _half_labelled(snapshot),
    )


def _beyond(snapshot: Snapshot, labels: Labels | None) -> tuple[Verdict, str] | None:
    if labels is None:
        return "by hand", (
            f"HybridOps' labels, not a whole set of ours: if nothing needs it, hcloud image delete {snapshot.id}"
        )
    if labels.role != "image":
        return "by hand", "labelled as what serves a seed, and a snapshot: look at it in the Hetzner console"
    return None


def _half_labelled(snapshot: Snapshot) -> bool:
    return "hyops_image_key" in snapshot.labels or snapshot.labels.get("hyops_managed_by") == MANAGED_BY
