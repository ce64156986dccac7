"""Writing a machine's own words: only over what was read, and once more where somebody else wrote in between."""

from contextlib import suppress

from hyops_assets.contract.record import Record
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import AnswerLost, ConfigChanged, SeedBusy, SeedFailed
from resources.sites.proxmox.facts import TemplateFacts, audit, audit_whole
from resources.sites.proxmox.lineage import TemplateLineage, description_of

_ATTEMPTS = 3


def write_lineage(client: ProxmoxClient, facts: TemplateFacts, lineage: TemplateLineage) -> None:
    """Have a machine say a lineage, if it still is what was read.

    What its owner may change (size, networks, tags) may have changed since: then it is read and written again.

    Raises:
        SeedBusy: another run wrote its own, or somebody writes to it without a pause.
        SeedFailed: its hardware is not what it was.
        AnswerLost: it may have been written.
    """
    for _ in range(_ATTEMPTS):
        try:
            client.ensure_config(facts.vmid, description=description_of(lineage), digest=facts.digest)
        except ConfigChanged:
            facts = _same(facts, audit(client, facts.vmid))
        else:
            return
    raise SeedBusy(f"VMID {facts.vmid} is being written to by others", hint="see who works on it, then seed again")


def _same(was: TemplateFacts, now: TemplateFacts) -> TemplateFacts:
    if now.lineage != was.lineage:
        whose = f"run {now.lineage.run_id}" if now.lineage is not None else "somebody"
        raise SeedBusy(f"{whose} wrote to VMID {now.vmid} meanwhile", hint="wait for it, then seed again")
    if (now.hardware, now.template) != (was.hardware, was.template):
        raise SeedFailed(
            f"the hardware of VMID {now.vmid} was changed while it was seeded",
            hint=f"see who did (qm config {now.vmid}), put it back or destroy it, then seed again",
        )
    return now


def commit(client: ProxmoxClient, template: TemplateFacts, lineage: TemplateLineage, record: Record) -> TemplateFacts:
    """Mark a template ready and read it back: from here on it is adopted, never touched.

    Raises:
        SeedBusy, SeedFailed: it is not what was made, or others write to it.
        DiskUnseen: its storage does not show the disk.
    """
    # Where the answer is lost, what was written is read back below, and that decides.
    with suppress(AnswerLost):
        write_lineage(client, template, lineage)
    committed = audit_whole(client, template.vmid)
    problems = committed.problems(record)
    if problems or committed.lineage != lineage:
        found = "; ".join(problems) or "its lineage is another"
        raise SeedFailed(
            f"VMID {template.vmid} is not the template that was committed: {found}",
            hint="run the seed again: it resumes",
        )
    return committed
