"""What stands on a site for one record: templates, what killed seeds left behind, and what others own. Reads only."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hyops_assets.contract.record import Record
from resources.sites.proxmox.answers import MachineSummary, TaskSummary
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import NodeUnreachable, NoSuchObject
from resources.sites.proxmox.facts import MachineReader, TemplateFacts
from resources.sites.proxmox.lineage import (
    TemplateLineage,
    digest_tag,
    import_file_name,
    is_digest_tag,
    template_name,
)

IsOurs = Callable[[TemplateLineage], bool]
"""Tells whether the environment that asks made what carries a lineage."""


@dataclass(frozen=True)
class Survey:
    """What a seed finds.

    Attributes:
        complete: templates of the record: scratches last, ours before others', the site's own node before others,
            then by VMID.
        unfinished: machines that this very seed of this environment began.
        smoke_clones: clones that this very seed of this environment booted.
        others: VMIDs of templates and machines that are not ours, as far as they say so.
        changed: committed templates of the record that somebody changed since.
        rivals: machines that other seeds of the record are building where this site could use them.
        stuck: machines under creation whose worker is gone; only root may remove them.
        unclaimed: machines that look like the record's template and do not say that they are.
        occupant: what stands under the wanted VMID, as far as it can be read.
        taken: every VMID in use that the token may see, and the wanted one if it is.
        unread: nodes that do not answer, may hold the record's template, and are written off by the site.
    """

    complete: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    unfinished: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    smoke_clones: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    changed: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    rivals: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    stuck: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    unclaimed: list[TemplateFacts] = field(default_factory=list[TemplateFacts])
    occupant: TemplateFacts | None = None
    others: frozenset[int] = frozenset()
    taken: frozenset[int] = frozenset()
    unread: tuple[str, ...] = ()


def survey(
    client: ProxmoxClient, record: Record, seed_id: str, *, is_ours: IsOurs, wanted: int | None = None
) -> Survey:
    """Read every machine that could be a template of the record, or a leftover of its seed.

    On the site's node: every template, every machine of the range and under `wanted`. On other nodes of the cluster,
    where the site's storage is shared: every template too, and what carries the record's tag or lies in the range.
    Tags only widen the search: an operator may have removed one, a datacenter may reserve them, every clone carries a
    copy. Each node is asked itself: the cluster's list learns of a new template late, or never (`list_machines`).

    Args:
        client: of the site.
        record: the record.
        seed_id: of the seed that looks.
        is_ours: tells whether this environment made what carries a lineage.
        wanted: the VMID that was asked for.

    Raises:
        NodeUnreachable: a node does not answer that may hold the record's template, and the site waits for it.
    """
    machines = client.list_machines()
    found, unread = reachable_machines(client, machines, record, wanted)
    seen = frozenset(machine.vmid for machine in (*machines, *found))
    facts = _read(client, record, found, wanted)
    here = [entry for entry in facts if entry.node == client.site.node]
    own = [entry for entry in facts if (lineage := entry.own_lineage) is not None and lineage.describes(record)]
    usable = [entry for entry in own if entry.node == client.site.node or entry.shared]
    complete = [entry for entry in usable if not entry.problems(record)]
    building = [entry for entry in own if entry.own_lineage is not None and entry.own_lineage.state == "building"]
    others = frozenset(entry.vmid for entry in facts if entry.lineage is not None and not is_ours(entry.lineage))
    seeds = [entry for entry in here if entry.lineage is not None and entry.lineage.seed_id == seed_id]
    mine = [entry for entry in seeds if entry.vmid not in others]
    unfinished = [entry for entry in building if entry in mine]
    return Survey(
        complete=sorted(
            complete,
            key=lambda entry: (
                _is_scratch(entry),
                entry.vmid in others,
                entry.node != client.site.node,
                entry.vmid,
            ),
        ),
        unfinished=sorted(unfinished, key=lambda entry: (not entry.template, entry.vmid)),
        smoke_clones=[entry for entry in mine if entry.is_smoke_clone],
        changed=[entry for entry in usable if entry not in complete and entry not in building],
        rivals=[entry for entry in usable if entry in building and entry not in unfinished],
        stuck=[entry for entry in here if entry.lock == "create" and entry.volid is None],
        unclaimed=[entry for entry in here if entry.lineage is None and _resembles(entry, record)],
        occupant=next((entry for entry in facts if entry.vmid == wanted), None),
        others=others,
        taken=seen | ({wanted} if wanted is not None and wanted not in seen and not client.is_free(wanted) else set()),
        unread=unread,
    )


def active_tasks(client: ProxmoxClient, record: Record, vmids: frozenset[int]) -> list[TaskSummary]:
    """List our running workers that a seed must wait for before it looks at anything.

    Args:
        client: of the site.
        record: whose image may be on its way.
        vmids: those that the seed looks at besides the site's range.
    """
    low, high = client.site.vmid_range
    file_name = import_file_name(record)
    kinds = {"qmcreate", "qmtemplate", "qmclone", "qmdestroy", "qmstart", "qmstop", "qmconfig"}
    return [
        task
        for task in client.list_tasks(source="active")
        if (task.type in kinds and task.id.isdigit() and (low <= int(task.id) <= high or int(task.id) in vmids))
        or (task.type == "download" and task.id == file_name)
    ]


def reachable_machines(
    client: ProxmoxClient, machines: list[MachineSummary], record: Record, wanted: int | None
) -> tuple[list[MachineSummary], tuple[str, ...]]:
    """List the machines that concern a site, each as its own node tells it now; and the nodes that were given up.

    Args:
        client: of the site.
        machines: those of the cluster's list: which there are, where, and with which tags, is right in it.
        record: whose template is looked for.
        wanted: a VMID that is looked at wherever it is.

    Returns:
        The machines, and the nodes that did not answer, may hold the record's template on the storage that they share,
        and are written off by the site.

    Raises:
        NodeUnreachable: such a node is not written off.
    """
    site = client.site
    found, unread = client.list_node_machines(), list[str]()
    away = [machine for machine in machines if machine.node != site.node and machine.type == "qemu"]
    # Asked only where it matters: without a shared disk a template serves its own node alone.
    shared = bool(away) and client.get_storage(site.storage).shared
    concerned = {machine.node for machine in away if shared or machine.vmid == wanted}
    states = {node.node: node.status for node in client.list_nodes()} if concerned else dict[str, str]()
    for node in sorted(concerned):
        try:
            found += _machines_of(client, node, states.get(node))
        except NodeUnreachable as error:
            there = [machine for machine in away if machine.node == node]
            doubtful = [machine.vmid for machine in there if shared and _may_be_template(machine, record)]
            if doubtful and node not in site.written_off_nodes:
                raise NodeUnreachable(
                    f"{error.message}, and its VMID {doubtful[0]} may be this record's template",
                    hint=f"start {node}; what its storage holds is shared and would be made twice. If it stays away, "
                    "move its templates or name it in the site's written_off_nodes (docs/proxmox.md)",
                ) from error
            if doubtful:
                unread.append(node)
    return found, tuple(unread)


def _machines_of(client: ProxmoxClient, node: str, status: str | None) -> list[MachineSummary]:
    """List another node's machines; one that is known to be down is not asked.

    Raises:
        NodeUnreachable: it does not answer, is down, or has left the cluster and its machines' configurations have not
            (`pvecm delnode` leaves them).
    """
    if status in {None, "offline"}:
        state = "is down" if status else "is no longer a node of the cluster"
        raise NodeUnreachable(f"node {node} {state}", hint=f"start {node}")
    try:
        return client.list_node_machines(node)
    except NodeUnreachable as error:
        raise NodeUnreachable(f"node {node} does not answer ({error.message})", hint=error.hint) from error


def _may_be_template(machine: MachineSummary, record: Record) -> bool:
    """Whether a machine that cannot be read may be a template of the record: unless what is known speaks against it.

    Its flag may be ten seconds older than its conversion, or unknown once its node is away for minutes: only what ran
    was no template. Its tags are always known: another record's is another's.
    """
    digests = {tag for tag in machine.tag_set if is_digest_tag(tag)}
    ran = machine.template is False and machine.status == "running"
    return not ran and (not digests or digest_tag(record) in digests)


def _read(
    client: ProxmoxClient, record: Record, machines: list[MachineSummary], wanted: int | None
) -> list[TemplateFacts]:
    reader, (low, high), tag = MachineReader(client), client.site.vmid_range, digest_tag(record)
    facts: list[TemplateFacts] = []
    for machine in machines:
        known = low <= machine.vmid <= high or tag in machine.tag_set or machine.template
        if not known and machine.vmid != wanted:
            continue
        try:
            facts.append(reader.read(machine.vmid, machine.node))
        except NoSuchObject:
            # Destroyed since the list was made.
            continue
    return facts


def _is_scratch(facts: TemplateFacts) -> bool:
    return facts.lineage is not None and facts.lineage.scratch_for is not None


def _resembles(facts: TemplateFacts, record: Record) -> bool:
    """Whether a machine without lineage looks like the record's template: by its name, or as a tagged template."""
    tagged = facts.template and digest_tag(record) in facts.tags.replace(",", ";").split(";")
    return facts.name == template_name(record) or tagged
