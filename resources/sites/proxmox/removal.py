"""Removing a machine for good: what the caller has read and decided on, and nothing else."""

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.upkeep import Finding
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import AnswerLost, NoSuchObject, SeedFailed, StillLinked, TaskFailed
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.tasks import NodeJournal

_LINKED = "still in use by linked clone"


def destroy(client: ProxmoxClient, journal: NodeJournal, vmid: int) -> None:
    """Destroy a machine with its disks, and see that it is gone; that it is gone already is as good.

    Raises:
        StillLinked: machines are linked to its disk; it stays whole.
        TaskFailed: the node's worker failed.
        SeedFailed: it is still there.
    """
    try:
        try:
            journal.work("destroy", lambda: client.delete_machine(vmid))
        except AnswerLost:
            # What stands afterwards tells; a worker that took the call is waited for.
            for task in client.list_tasks(source="active", kind="qmdestroy", vmid=vmid):
                journal.wait("destroy", task.upid)
    except NoSuchObject:
        return
    except TaskFailed as error:
        # The node looks for linked clones in its worker, after the call was answered.
        if _LINKED in error.message:
            raise StillLinked(f"DELETE VMID {vmid}", 500, error.exitstatus, hint="remove its clones first") from error
        raise
    # Not by its configuration: with rights on a pool alone, that is out of sight once the machine is gone.
    if client.is_free(vmid):
        return
    raise SeedFailed(f"VMID {vmid} is still there", hint="look at the node's task log, then try again")


def remove(client: ProxmoxClient, facts: TemplateFacts, finding: Finding) -> Finding:
    """Destroy a machine that was just judged, and return what became of it; a smoke clone is stopped before.

    Raises:
        HyopsError: it could not be destroyed.
    """
    journal = NodeJournal(client)
    try:
        if facts.lineage is not None and facts.lineage.smoke_of is not None:
            # A machine that runs is not destroyed.
            journal.work("stop", lambda: client.stop_machine(facts.vmid))
        destroy(client, journal, facts.vmid)
    except StillLinked:
        return finding.turned("keep", "machines are linked to its disk")
    return finding.turned("removed", "; ".join([finding.why, *journal.warnings]))


def is_gone(client: ProxmoxClient, vmid: int) -> bool:
    """Whether no machine has a VMID any more; where that cannot be asked, it is not known to be gone.

    A node says that there is none in several ways: in its answer, by a worker that fails (`vm_stop`), as another text
    (`clone_vm`), or, with rights on a pool alone, as a right that is missing.
    """
    try:
        return client.is_free(vmid)
    except HyopsError:
        return False
