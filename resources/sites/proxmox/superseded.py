"""Superseded templates of a node, and scratches of templates that stand: which they are, and how one is removed.

A template goes only if this environment made it; if its own lineage says `ready`; if no state mentions it; if no
machine is linked to its disk; if it is neither protected nor locked; and if what the site's active state names stands
on the node, whole.
"""

from collections.abc import Mapping, Sequence

from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.superseding import TEMPLATES, Current, Held, NotSettled, mentioned
from hyops_assets.contract.upkeep import Finding, Verdict
from resources.pruning import Ground, Pruning
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import StillLinked, destroyed_by_hand
from resources.sites.proxmox.facts import TemplateFacts, linked_volumes, read_machines, visible_volumes
from resources.sites.proxmox.journal import Journal, SeedLimits
from resources.sites.proxmox.removal import destroy


def superseded_templates(client: ProxmoxClient, limits: SeedLimits, ground: Ground) -> Pruning[TemplateFacts]:
    """Return what is superseded on a site's node."""

    def look() -> list[tuple[TemplateFacts, Finding]]:
        return _look(client, ground)

    def remove(facts: TemplateFacts, finding: Finding) -> Finding:
        journal = Journal(client, limits)
        try:
            destroy(client, journal, facts.vmid)
        except StillLinked:
            return finding.turned("keep", "machines are linked to its disk")
        # Not before: clones that only the node sees may keep it. The version of a scratch stays: its template stands.
        if facts.lineage is not None and facts.lineage.scratch_for is None:
            ground.forget(facts.lineage.version)
        return finding.turned("removed", "; ".join([finding.why, *journal.warnings]))

    return Pruning(look, remove)


def require_current(current: Sequence[Current], machines: Sequence[TemplateFacts]) -> None:
    """Confirm that what the active states name stands on the node, whole.

    Raises:
        NotSettled: it does not, or it holds another version than the state says.
    """
    by_vmid = {str(facts.vmid): facts for facts in machines}
    for entry in current:
        facts = by_vmid.get(entry.ref)
        if facts is None:
            problem = "which the node does not have"
        elif not facts.converted:
            problem = "which is no whole template"
        elif facts.lineage is not None and facts.lineage.vmid != facts.vmid:
            problem = "which is a clone"
        elif facts.lineage is not None and (facts.lineage.state, facts.lineage.version) != ("ready", entry.version):
            problem = f"which says {facts.lineage.version}, {facts.lineage.state}, not {entry.version}, ready"
        else:
            continue
        raise NotSettled(f"{entry.state} names VMID {entry.ref}, {problem}", hint="seed the current version again")


def judge_template(
    facts: TemplateFacts,
    *,
    owner: Owner,
    mentions: Mapping[str, str],
    linked: Sequence[str],
    versions: Mapping[str, tuple[Verdict, str]],
) -> tuple[Verdict, str] | None:
    """Decide about one machine, and say why; None where it is no template of ours.

    Args:
        facts: as the node reported them.
        owner: whose it is, by its own lineage.
        mentions: what any state says, and which.
        linked: volumes that read from its disk.
        versions: what was decided by version, by VMID, of what is ours.
    """
    if not _is_ready(facts):
        return None
    if owner.whose == "another's":
        return "keep", owner.why
    for text in (str(facts.vmid), facts.name or ""):
        if text in mentions:
            return "keep", f"{mentions[text]} names it"
    if linked:
        return "keep", f"machines are linked to its disk: {', '.join(linked)}"
    if not owner.ours:
        return "by hand", f"{owner.why}: if nothing needs it, {destroyed_by_hand(facts.vmid)}"
    if facts.protection:
        return "keep", "somebody protected it: seeds do not"
    if facts.lock is not None:
        return "keep", f"it is locked ({facts.lock})"
    if not facts.converted:
        return "by hand", f"it says that it is ready, and is no whole template: qm config {facts.vmid}"
    return versions[str(facts.vmid)]


def _look(client: ProxmoxClient, ground: Ground) -> list[tuple[TemplateFacts, Finding]]:
    # Wherever their VMID lies: a state may name a template that others made.
    machines, states = list(read_machines(client, lambda machine: machine.template)), ground.states()
    ready = [facts for facts in machines if _is_ready(facts)]
    owners = {
        facts.vmid: ground.owner_of(facts.lineage.claim, str(facts.vmid))
        for facts in ready
        if facts.lineage is not None
    }
    ours = [facts for facts in ready if owners[facts.vmid].ours]
    held = [
        Held(str(facts.vmid), facts.lineage.key, facts.lineage.version, facts.lineage.seeded_at)
        for facts in ours
        if facts.lineage is not None
    ]
    versions = ground.judge(
        held, states, TEMPLATES, lambda current: require_current(current, machines), spent=_spent_scratches(ours)
    )
    storages = {facts.volid.partition(":")[0] for facts in ready if facts.volid}
    volumes = [volume for storage in sorted(storages) for volume in visible_volumes(client, storage)]
    mentions = mentioned(states)
    found: list[tuple[TemplateFacts, Finding]] = []
    for facts in ready:
        linked = linked_volumes(volumes, facts.vmid)
        owner = owners[facts.vmid]
        judged = judge_template(facts, owner=owner, mentions=mentions, linked=linked, versions=versions)
        if judged is not None:
            found.append((facts, Finding(f"template {facts.name} ({facts.vmid})", ground.where, *judged)))
    return found


def _spent_scratches(ready: list[TemplateFacts]) -> dict[str, str]:
    """Return the templates that were made only until another one of the same record stands, which it does; and why."""
    whole = {facts.vmid: facts.lineage for facts in ready if facts.converted and facts.lineage is not None}
    found: dict[str, str] = {}
    for vmid, lineage in whole.items():
        template = whole.get(lineage.scratch_for) if lineage.scratch_for is not None else None
        if template is not None and template.scratch_for is None and template.record_digest == lineage.record_digest:
            found[str(vmid)] = f"it was made until VMID {template.vmid} stands, and that one does"
    return found


def _is_ready(facts: TemplateFacts) -> bool:
    """Whether a template says, itself and not as a clone, that a seed of ours finished it."""
    lineage = facts.lineage
    return (
        lineage is not None
        and (lineage.vmid, lineage.state, lineage.smoke_of) == (facts.vmid, "ready", None)
        and facts.template
    )
