"""What stands on a site: templates as they are, and what a killed seed left behind. Reads only."""

from dataclasses import dataclass

from hyops_assets.contract.record import Record
from resources.proxmox.answers import MachineConfig, TaskSummary
from resources.proxmox.client import ProxmoxClient
from resources.proxmox.errors import NoSuchObject
from resources.proxmox.lineage import TemplateLineage, digest_tag, import_file_name, parse_lineage

ROUNDING_BYTES = 64 << 20
"""A storage may round a disk up to its own unit: LVM to an extent (4 MiB unless configured), ZFS to 1 MiB."""


@dataclass(frozen=True)
class TemplateFacts:
    """One machine, read from the node.

    Attributes:
        disk_size_bytes: None where the volume is not on its storage.
        base: the disk is a base volume: the conversion to a template was finished.
        thick: its storage knows no base volumes (plain LVM); such templates can only be cloned in full.
        lineage: what its description says; None where that is not ours.
    """

    vmid: int
    node: str
    name: str | None
    template: bool
    lock: str | None
    tags: str
    volid: str | None
    disk_size_bytes: int | None
    base: bool
    thick: bool
    digest: str
    lineage: TemplateLineage | None

    @property
    def converted(self) -> bool:
        """Whether the machine is a whole template: flag and disk."""
        return self.template and (self.base or self.thick)

    def problems(self, record: Record) -> list[str]:
        """Return why this is not a complete template of a record; nothing where it is one."""
        lineage = self.lineage
        if lineage is None:
            return ["its description holds no lineage of ours"]
        size, wanted = self.disk_size_bytes, record.disk.size_bytes
        found = [
            (lineage.vmid != self.vmid, f"its lineage is that of VMID {lineage.vmid}: it is a clone"),
            (lineage.record_digest != record.digest, f"it is of record {lineage.record_digest}, not {record.digest}"),
            (
                lineage.disk_sha256 != record.disk.sha256,
                f"it is of disk {lineage.disk_sha256}, not {record.disk.sha256}",
            ),
            (lineage.lab != record.lab, "a lab's template and a record that no lab made, or the reverse"),
            (lineage.state != "ready", f"its state is {lineage.state}"),
            (not self.template, "it is a machine, not a template"),
            (not (self.base or self.thick), f"its disk {self.volid} is not a base volume"),
            (size is None, f"its disk {self.volid} is not on the storage"),
            (
                size is not None and not 0 <= size - wanted < ROUNDING_BYTES,
                f"its disk has {size} bytes, the record's {wanted}",
            ),
        ]
        return [text for wrong, text in found if wrong]


@dataclass(frozen=True)
class Standing:
    """What a seed finds: complete templates, its own unfinished ones, its own smoke clones, and stuck machines."""

    complete: list[TemplateFacts]
    unfinished: list[TemplateFacts]
    smoke_clones: list[TemplateFacts]
    stuck: list[TemplateFacts]
    broken: list[TemplateFacts]
    taken: frozenset[int]


def audit(client: ProxmoxClient, vmid: int) -> TemplateFacts:
    """Read one machine.

    Raises:
        NoSuchObject: there is none with this VMID on the node.
    """
    return _facts(client, vmid, client.get_config(vmid), {})


def survey(client: ProxmoxClient, record: Record, seed_id: str) -> Standing:
    """Read every machine of the node that could be a template of the record, or a leftover of its seed.

    Tags only widen the search: an operator may have removed one, and every clone carries a copy.
    """
    site = client.site
    low, high = site.vmid_range
    machines = client.list_machines()
    facts: list[TemplateFacts] = []
    sizes: dict[str, dict[str, int]] = {}
    for machine in machines:
        if machine.node == site.node and (low <= machine.vmid <= high or digest_tag(record) in machine.tag_set):
            try:
                facts.append(_facts(client, machine.vmid, client.get_config(machine.vmid), sizes))
            except NoSuchObject:
                # Destroyed since the list was made.
                continue
    own = [entry for entry in facts if _is_own(entry) and entry.lineage and entry.lineage.describes(record)]
    complete = [entry for entry in own if not entry.problems(record)]
    mine = [entry for entry in facts if entry.lineage is not None and entry.lineage.seed_id == seed_id]
    unfinished = [entry for entry in mine if _is_own(entry) and entry.lineage and entry.lineage.state == "building"]
    return Standing(
        complete=sorted(complete, key=lambda entry: entry.vmid),
        unfinished=sorted(unfinished, key=lambda entry: (not entry.template, entry.vmid)),
        smoke_clones=[entry for entry in mine if _is_smoke_clone(entry)],
        stuck=[entry for entry in facts if entry.lock == "create" and entry.volid is None],
        broken=[entry for entry in own if entry not in complete and entry not in unfinished],
        taken=frozenset(machine.vmid for machine in machines),
    )


def active_tasks(client: ProxmoxClient, record: Record) -> list[TaskSummary]:
    """List our running workers that a seed of this record must wait for before it looks at anything."""
    low, high = client.site.vmid_range
    file_name = import_file_name(record)
    kinds = {"qmcreate", "qmtemplate", "qmclone", "qmdestroy", "qmstart", "qmstop", "qmconfig"}
    return [
        task
        for task in client.list_tasks(source="active")
        if (task.type in kinds and task.id.isdigit() and low <= int(task.id) <= high)
        or (task.type == "download" and task.id == file_name)
    ]


def _is_own(facts: TemplateFacts) -> bool:
    """Whether the lineage is the machine's own, not a copy that a clone carries."""
    lineage = facts.lineage
    return lineage is not None and lineage.vmid == facts.vmid and lineage.smoke_of is None


def _is_smoke_clone(facts: TemplateFacts) -> bool:
    lineage = facts.lineage
    return lineage is not None and lineage.smoke_of is not None and lineage.vmid == facts.vmid and not facts.template


def _facts(client: ProxmoxClient, vmid: int, config: MachineConfig, sizes: dict[str, dict[str, int]]) -> TemplateFacts:
    """Combine a configuration with its disk's volume; `sizes` caches volumes by storage."""
    volid, size, thick = config.volid, None, False
    lineage = parse_lineage(config.description)
    if volid is not None and lineage is not None:
        storage = volid.partition(":")[0]
        if storage not in sizes:
            sizes[storage] = {volume.volid: volume.size for volume in client.list_volumes(storage, "images")}
        size = sizes[storage].get(volid)
        thick = client.get_storage(storage).type == "lvm"
    return TemplateFacts(
        vmid=vmid,
        node=client.site.node,
        name=config.name,
        template=config.template,
        lock=config.lock,
        tags=config.tags,
        volid=volid,
        disk_size_bytes=size,
        base=volid is not None and volid.partition(":")[2].rpartition("/")[2].startswith("base-"),
        thick=thick,
        digest=config.digest,
        lineage=lineage,
    )
