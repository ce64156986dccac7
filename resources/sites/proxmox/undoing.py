"""Undoing what named runs made on a node: smoke clones and half-made templates, then their templates; nothing else.

A machine is theirs where the lineage in it names its own VMID and one of the runs. Each is read once more right
before it goes. The image on the import storage stays: a token that may delete there may delete more.
"""

import time
from collections.abc import Iterator
from contextlib import suppress

from hyops_assets.contract.record import Record
from hyops_assets.contract.upkeep import Finding, Needed
from resources.sites.cleanup import Judged, Removal
from resources.sites.proxmox.answers import MachineSummary
from resources.sites.proxmox.errors import NoSuchObject, TaskFailed
from resources.sites.proxmox.facts import TemplateFacts, audit, linked_clones, read_machines
from resources.sites.proxmox.lineage import OUR_TAG
from resources.sites.proxmox.removal import is_gone, remove
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.survey import active_tasks
from resources.sites.proxmox.sweep import Sweep
from resources.sites.proxmox.tasks import NodeJournal


def undo(
    seeder: ProxmoxSeeder,
    where: str,
    environment: str | None,
    record: Record,
    runs: frozenset[str],
    *,
    needed: Needed,
) -> list[Finding]:
    """Remove what the runs made, and return what became of each. One that cannot be removed stops no other.

    Args:
        seeder: of the site.
        where: the site's name.
        environment: the id of the one whose runs they are.
        record: what they seeded: workers that are busy with it are waited for first.
        runs: ids of runs that have ended.
        needed: tells who needs a template by now; that one stays.
    """
    journal = NodeJournal(seeder.client)
    for task in active_tasks(seeder.client, record, frozenset()):
        # What a worker that failed left is looked at below.
        with suppress(TaskFailed, NoSuchObject):
            journal.wait(task.type, task.upid)
    sweep = Sweep(
        seeder.client,
        where,
        environment=environment,
        is_live=lambda run_id: run_id not in runs,
        at_work=lambda: None,
        clock=time.time,
    )
    done = [finding for finding in sweep.reap() if finding.verdict in ("removed", "failed")]

    def look() -> list[Judged[TemplateFacts]]:
        return [
            (facts, Finding(_name(facts), where, "remove", "this run made it")) for facts in _made_by(seeder, runs)
        ]

    def again(facts: TemplateFacts, finding: Finding) -> Judged[TemplateFacts] | None:
        try:
            now = audit(seeder.client, facts.vmid)
        except NoSuchObject:
            return None
        why = _stays(seeder, now, runs, needed)
        return now, finding.turned("keep", why) if why else finding

    templates = Removal(
        look,
        again,
        lambda facts, finding: remove(seeder.client, facts, finding),
        lambda facts: is_gone(seeder.client, facts.vmid),
    )
    return done + templates.reap()


def remaining(seeder: ProxmoxSeeder, runs: frozenset[str]) -> list[str]:
    """Return what still carries the id of one of the runs."""
    return [_name(facts) for facts in _made_by(seeder, runs)]


def _made_by(seeder: ProxmoxSeeder, runs: frozenset[str]) -> Iterator[TemplateFacts]:
    low, high = seeder.site.vmid_range

    def concerns(machine: MachineSummary) -> object:
        return low <= machine.vmid <= high or OUR_TAG in machine.tag_set or machine.template

    return (facts for facts in read_machines(seeder.client, concerns) if _is_theirs(facts, runs))


def _is_theirs(facts: TemplateFacts, runs: frozenset[str]) -> bool:
    lineage = facts.lineage
    return lineage is not None and lineage.vmid == facts.vmid and lineage.run_id in runs


def _stays(seeder: ProxmoxSeeder, now: TemplateFacts, runs: frozenset[str], needed: Needed) -> str | None:
    """Return why a machine stays, as it was just read; None where it may go."""
    if now.own_lineage is None or not now.template or not _is_theirs(now, runs):
        return "it is not what this run made by now"
    if clones := linked_clones(seeder.client, now):
        return f"machines are linked to its disk: {', '.join(clones)}"
    return needed(str(now.vmid))


def _name(facts: TemplateFacts) -> str:
    return f"{'template' if facts.template else 'machine'} {facts.name or 'without a name'} ({facts.vmid})"
