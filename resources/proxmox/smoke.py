"""The smoke gate: a clone of the new template boots, and the agent in it answers.

The clone is linked where the storage can, so that what boots are the template's own blocks. It is marked as
the smoke clone of its seed: one that a killed run left is removed by the next.
"""

import time

from hyops_assets.contract.errors import TransientError
from resources.proxmox.client import ProxmoxClient
from resources.proxmox.errors import AnswerLost, MachineExists, NoSuchObject, SeedFailed, SiteNotReady
from resources.proxmox.journal import Journal
from resources.proxmox.lineage import TemplateLineage, description_of
from resources.proxmox.survey import TemplateFacts


class SmokeFailed(SeedFailed):
    """A clone of the template did not come up. The template stays, unpublished, for a look at it."""


def boot_a_clone(client: ProxmoxClient, journal: Journal, template: TemplateFacts, lineage: TemplateLineage) -> None:
    """Prove that a clone of a converted template boots.

    Raises:
        SmokeFailed: its guest agent did not answer in time.
        SiteNotReady: no VMID of the range is free for the clone.
    """
    clone = _clone(client, journal, template, lineage)
    try:
        journal.wait("smoke start", client.start_machine(clone))
        _await_agent(client, journal, clone, template.vmid)
    finally:
        remove_clone(client, journal, clone)


def remove_clone(client: ProxmoxClient, journal: Journal, vmid: int) -> None:
    """Stop and destroy a smoke clone. The caller has read that it is one."""
    try:
        journal.wait("smoke stop", client.stop_machine(vmid))
        journal.wait("smoke destroy", client.delete_machine(vmid))
    except (NoSuchObject, AnswerLost) as error:
        journal.warn(f"smoke clone {vmid}: {error.message}")


def _clone(client: ProxmoxClient, journal: Journal, template: TemplateFacts, lineage: TemplateLineage) -> int:
    low, high = client.site.vmid_range
    for vmid in range(high, low - 1, -1):
        if not client.is_free(vmid):
            continue
        marked = lineage.model_copy(update={"vmid": vmid, "smoke_of": template.vmid})
        try:
            upid = client.create_clone(
                template.vmid,
                vmid,
                name=f"smoke-{vmid}",
                description=description_of(marked),
                full=1 if template.thick else 0,
            )
        except MachineExists:
            continue
        journal.wait("smoke clone", upid)
        return vmid
    raise SiteNotReady(
        f"no free VMID in {low}-{high} for the smoke clone", hint="widen the site's vmid_range, or prune templates"
    )


def _await_agent(client: ProxmoxClient, journal: Journal, vmid: int, template: int) -> None:
    deadline = time.monotonic() + journal.limits.smoke
    while time.monotonic() < deadline:
        try:
            if client.ask_agent(vmid):
                return
        except TransientError:
            # The node was silent for a moment; the deadline decides.
            pass
        journal.progress("smoke boot", 0, None)
        time.sleep(journal.limits.poll)
    raise SmokeFailed(
        f"a clone of template {template} did not come up: its guest agent was silent for {journal.limits.smoke:.0f} s",
        hint=f"clone VMID {template} by hand and watch its console; the next seed tries this template again",
    )
