"""The smoke gate: a clone of the new template boots, and the agent in it answers.

The clone is linked where the storage can, so that what boots are the template's own blocks. It is marked as
the smoke clone of its seed: one that a killed run left is removed by the next.
"""

from contextlib import suppress
from functools import partial

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.seed_options import TemplateOptions
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import (
    LeftoverVolume,
    MachineExists,
    SeedFailed,
    VmidTaken,
)
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.lineage import TemplateLineage, description_of
from resources.sites.proxmox.removal import is_gone
from resources.sites.proxmox.tasks import NodeJournal
from resources.sites.proxmox.vmids import free_vmids, none_free


class SmokeFailed(SeedFailed):
    """A clone of the template did not come up. The template stays, unpublished, for a look at it."""


def boot_a_clone(
    client: ProxmoxClient,
    journal: NodeJournal,
    template: TemplateFacts,
    lineage: TemplateLineage,
    options: TemplateOptions,
) -> None:
    """Prove that a clone of a converted template boots. `options` name its VMID and its bridge, if anything does.

    Raises:
        SmokeFailed: its guest agent did not answer in time.
        VmidTaken: the VMID that was named for the clone is taken.
        SiteNotReady: no VMID of the range is free for the clone.
    """
    clone = _clone(client, journal, template, lineage, options)
    try:
        if options.template_smoke_bridge:
            client.ensure_config(clone, net0=f"virtio,bridge={options.template_smoke_bridge}")
        journal.work("smoke start", lambda: client.start_machine(clone))
        within = float(options.template_smoke_wait_s or client.timeouts.smoke)
        _await_agent(client, journal, clone, template.vmid, within=within)
    finally:
        remove_clone(client, journal, clone)


def remove_clone(client: ProxmoxClient, journal: NodeJournal, vmid: int) -> None:
    """Stop and destroy a smoke clone. The caller has read that it is one."""
    try:
        journal.work("smoke stop", lambda: client.stop_machine(vmid))
        journal.work("smoke destroy", lambda: client.delete_machine(vmid))
    except HyopsError as error:
        if is_gone(client, vmid):
            # Somebody was faster.
            return
        # What the clone proved, or did not, counts more; the next seed of the record removes it.
        journal.warn(f"smoke clone {vmid} is left: {error.message}")


def _clone(
    client: ProxmoxClient,
    journal: NodeJournal,
    template: TemplateFacts,
    lineage: TemplateLineage,
    options: TemplateOptions,
) -> int:
    named = options.template_smoke_vmid
    free = free_vmids(client, but={options.template_vm_id}, downwards=True)
    for vmid in free if named is None else filter(client.is_free, [named]):
        marked = lineage.model_copy(update={"vmid": vmid, "smoke_of": template.vmid})
        try:
            journal.work("smoke clone", partial(_ask_for_clone, client, template, vmid, marked))
        except MachineExists:
            continue
        except LeftoverVolume as error:
            journal.warn(f"VMID {vmid} is passed over for the smoke clone: {error.exitstatus}")
            continue
        return vmid
    if named is not None:
        raise VmidTaken(
            f"VMID {named} is taken; the smoke clone was to have it", hint="leave template_smoke_vmid out, or free it"
        )
    raise none_free(client, "smoke clone")


def _ask_for_clone(client: ProxmoxClient, template: TemplateFacts, vmid: int, lineage: TemplateLineage) -> str:
    return client.create_clone(
        template.vmid,
        vmid,
        name=f"smoke-{vmid}",
        description=description_of(lineage),
        full=1 if template.thick else 0,
        pool=client.site.pool or None,
    )


def _await_agent(client: ProxmoxClient, journal: NodeJournal, vmid: int, template: int, *, within: float) -> None:
    def answers() -> bool | None:
        # The node may be silent for a moment; the deadline decides.
        with suppress(TransientError):
            if client.ask_agent(vmid):
                return True
        journal.progress("smoke boot", 0, None)
        return None

    if client.timeouts.poll(answers, within=within) is None:
        raise SmokeFailed(
            f"a clone of template {template} did not come up: its guest agent was silent for {within:.0f} s",
            hint=f"clone VMID {template} by hand and watch its console; the next seed tries this template again",
        )
