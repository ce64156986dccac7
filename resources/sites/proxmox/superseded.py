"""Superseded templates of a node, and scratches of templates that stand: what they say, and what uses them.

A template goes only if this environment made it; if its own lineage says `ready`; if no state mentions it; if no
machine is linked to its disk; if it is neither protected nor locked; and if what the site's active state names stands
on the node, whole. The order of looking and removing, and the judge, are every cloud's (`resources/sites/cleanup.py`).
"""

from collections.abc import Callable, Mapping, Sequence

from hyops_assets.contract.superseding import TEMPLATES, Current, HeldImage
from hyops_assets.contract.upkeep import Finding, Verdict
from resources.sites.cleanup import CleanupContext, Removal, SiteObject, superseded
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import destroyed_by_hand
from resources.sites.proxmox.facts import TemplateFacts, linked_volumes, read_machines, visible_volumes
from resources.sites.proxmox.removal import remove


def superseded_templates(client: ProxmoxClient, ground: CleanupContext) -> Removal[SiteObject[TemplateFacts]]:
    """Return what is superseded on a site's node."""
    return superseded(Templates(client), ground)


class Templates:
    """The templates of a node.

    Args:
        client: of the site.
    """

    words = TEMPLATES
    noun = "VMID"

    def __init__(self, client: ProxmoxClient) -> None:
        self._client = client

    def list(self) -> list[SiteObject[TemplateFacts]]:
        """Read every template, wherever its VMID lies: a state may name one that others made."""
        return [_standing(facts) for facts in read_machines(self._client, lambda machine: machine.template)]

    def used_by(self, found: Sequence[SiteObject[TemplateFacts]]) -> Mapping[str, str]:
        """Read which volumes are linked to a disk of those that are ready."""
        ready = [one.thing for one in found if one.ours]
        storages = sorted({facts.volid.partition(":")[0] for facts in ready if facts.volid})
        volumes = [volume for storage in storages for volume in visible_volumes(self._client, storage)]
        linked = {str(facts.vmid): linked_volumes(volumes, facts.vmid) for facts in ready}
        return {ref: f"machines are linked to its disk: {', '.join(links)}" for ref, links in linked.items() if links}

    def problem(self, entry: Current, found: Sequence[SiteObject[TemplateFacts]]) -> str | None:
        """Return why what a state names does not stand on the node, whole."""
        facts = next((one.thing for one in found if one.ref == entry.ref), None)
        if facts is None:
            return "which the node does not have"
        if not facts.converted:
            return "which is no whole template"
        if facts.lineage is not None and facts.lineage.vmid != facts.vmid:
            return "which is a clone"
        if facts.lineage is not None and (facts.lineage.state, facts.lineage.version) != ("ready", entry.version):
            return f"which says {facts.lineage.version}, {facts.lineage.state}, not {entry.version}, ready"
        return None

    def spent(self, ours: Sequence[SiteObject[TemplateFacts]]) -> Mapping[str, str]:
        """Return the templates that were made only until another one of the same record stands, which it does."""
        whole = {one.thing.vmid: one.thing.lineage for one in ours if one.thing.converted}
        found: dict[str, str] = {}
        for vmid, lineage in whole.items():
            template = whole.get(lineage.scratch_for) if lineage and lineage.scratch_for is not None else None
            if lineage is None or template is None or template.scratch_for is not None:
                continue
            if template.record_digest == lineage.record_digest:
                found[str(vmid)] = f"it was made until VMID {template.vmid} stands, and that one does"
        return found

    def remove(
        self, thing: TemplateFacts, finding: Finding, again: Callable[[], Finding], forget: Callable[[str], object]
    ) -> Finding:
        """Destroy a template."""
        done = remove(self._client, thing, finding)
        # Not before: clones that only the node sees may keep it. The version of a scratch stays: its template stands.
        if done.verdict == "removed" and thing.lineage is not None and thing.lineage.scratch_for is None:
            forget(thing.lineage.version)
        return done


def _standing(facts: TemplateFacts) -> SiteObject[TemplateFacts]:
    lineage, ref = facts.lineage, str(facts.vmid)
    unfit: tuple[Verdict, str] | None = None
    if facts.protection:
        unfit = "keep", "somebody protected it: seeds do not"
    elif facts.lock is not None:
        unfit = "keep", f"it is locked ({facts.lock})"
    elif not facts.converted:
        unfit = "by hand", f"it says that it is ready, and is no whole template: qm config {facts.vmid}"
    ready = lineage is not None and _is_ready(facts)
    return SiteObject(
        thing=facts,
        ref=ref,
        what=f"template {facts.name} ({facts.vmid})",
        names=(ref, facts.name or ""),
        claim=lineage.claim if lineage and ready else None,
        by_hand=destroyed_by_hand(facts.vmid),
        held=HeldImage(ref, lineage.key, lineage.version, lineage.seeded_at) if lineage and ready else None,
        unfit=unfit,
        ours=ready,
    )


def _is_ready(facts: TemplateFacts) -> bool:
    """Whether a template says, itself and not as a clone, that a seed of ours finished it."""
    lineage = facts.lineage
    return (
        lineage is not None
        and (lineage.vmid, lineage.state, lineage.smoke_of) == (facts.vmid, "ready", None)
        and facts.template
    )
