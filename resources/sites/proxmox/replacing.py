"""Ending a template whose successor stands: read afresh, provably ours, linked to nothing, and then only.

A VMID cannot be renamed, so a template that is to stand under an occupied one is made twice: under a VMID of the range
first, whole and ready, and then in its place (docs/decisions/0015-a-vmid-is-replaced-by-a-successor.md).
"""

from hyops_assets.contract.record import Record
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import NoSuchObject, StillLinked, VmidTaken
from resources.sites.proxmox.facts import TemplateFacts, audit, linked_clones
from resources.sites.proxmox.removal import destroy
from resources.sites.proxmox.seed_plan import require_replaceable, scratch_for
from resources.sites.proxmox.survey import IsOurs
from resources.sites.proxmox.tasks import NodeJournal


def require_unlinked(client: ProxmoxClient, template: TemplateFacts) -> None:
    """Refuse to end a template that machines read from.

    Raises:
        VmidTaken: it is the base of linked clones.
    """
    clones = linked_clones(client, template)
    if clones:
        raise _in_use(template.vmid, ", ".join(clones))


def remove_replaced(
    client: ProxmoxClient, journal: NodeJournal, old: TemplateFacts, record: Record, *, is_ours: IsOurs
) -> None:
    """Destroy a template whose successor is ready.

    Raises:
        VmidTaken: it may no longer be replaced.
        SeedFailed: it is still there after its destruction.
    """
    found = audit(client, old.vmid)
    ours = found.lineage is not None and is_ours(found.lineage)
    now = require_replaceable(found, old.vmid, record, ours=ours, rebuild=True)
    if now.lineage != old.lineage:
        raise VmidTaken(f"VMID {old.vmid} became another template meanwhile", hint="look at it, then seed again")
    require_unlinked(client, now)
    _destroy(client, journal, now)


def remove_superseded(
    client: ProxmoxClient, journal: NodeJournal, scratch: TemplateFacts, template: TemplateFacts, *, is_ours: IsOurs
) -> None:
    """Destroy the scratch of a template that is committed; one that is in use is kept, and the report says so."""
    try:
        now = audit(client, scratch.vmid)
    except NoSuchObject:
        # Another run was faster.
        return
    ours = now.lineage is not None and is_ours(now.lineage)
    if not ours or scratch_for(now) != template.vmid or now.lock is not None or now.protection:
        journal.warn(f"VMID {scratch.vmid} was the scratch of VMID {template.vmid}, and was changed: left alone")
        return
    try:
        require_unlinked(client, now)
        _destroy(client, journal, now)
    except VmidTaken as error:
        journal.warn(f"the scratch of VMID {template.vmid} is kept: {error.message}")


def _destroy(client: ProxmoxClient, journal: NodeJournal, template: TemplateFacts) -> None:
    try:
        destroy(client, journal, template.vmid)
    except StillLinked as error:
        # The node knows clones that the token may not see.
        raise _in_use(template.vmid, error.reason) from error


def _in_use(vmid: int, by: str) -> VmidTaken:
    return VmidTaken(
        f"VMID {vmid} is the base of linked clones: {by}",
        hint="move those machines to full clones or destroy them, or leave template_vm_id out",
    )
