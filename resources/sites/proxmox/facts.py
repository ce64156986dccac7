"""One machine as its node tells it: what it is, what it says about itself, and what speaks against it. Reads only."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from hyops_assets.contract.record import Record
from resources.sites.proxmox.answers import MachineConfig, MachineSummary, StorageStatus, Volume
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import DiskUnseen, NoSuchObject, PrivilegeMissing, ProxmoxError
from resources.sites.proxmox.lineage import TemplateLineage, parse_lineage

ROUNDING_BYTES = 64 << 20
"""A storage may round a disk up to its own unit: LVM to an extent (4 MiB unless configured), ZFS to 1 MiB."""


Disk = Literal["seen", "hidden", "absent"]
"""Whether the disk's volume was seen on its storage, may not be looked at, or its storage says there is none.

Volumes are listed by the rights on their owner (pve-storage, `check_volume_access`: Datastore.Audit on the storage
**and** VM.Config.Disk on the machine), and left out silently: one that is not listed may be there.
"""


@dataclass(frozen=True)
class TemplateFacts:
    """One machine, read from its node.

    Attributes:
        protection: Proxmox refuses to destroy it.
        disk: whether its volume was seen.
        disk_size_bytes: of the volume; where it is hidden, what the configuration says; None where neither says it.
        base: the disk is a base volume: the conversion to a template was finished.
        thick: its storage knows no base volumes (plain LVM); such templates can only be cloned in full.
        shared: every node of the cluster sees the disk.
        hardware: what it boots from and with.
        lineage: what its description says; None where that is not ours.
    """

    vmid: int
    node: str
    name: str | None
    template: bool
    lock: str | None
    tags: str
    protection: bool
    volid: str | None
    disk_size_bytes: int | None
    base: bool
    thick: bool
    shared: bool
    digest: str
    hardware: dict[str, str]
    lineage: TemplateLineage | None
    disk: Disk = "seen"

    @property
    def converted(self) -> bool:
        """Whether the machine is a whole template: flag and disk."""
        return self.template and (self.base or self.thick)

    @property
    def own_lineage(self) -> TemplateLineage | None:
        """The lineage, if it is this machine's own and not a copy that a clone carries."""
        lineage = self.lineage
        return lineage if lineage is not None and lineage.vmid == self.vmid and lineage.smoke_of is None else None

    @property
    def is_smoke_clone(self) -> bool:
        """Whether this is the clone of a smoke test, by its own word."""
        lineage = self.lineage
        return lineage is not None and lineage.smoke_of is not None and lineage.vmid == self.vmid and not self.template

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
            (self.disk == "absent", f"its disk {self.volid} is not on the storage"),
            (
                size is not None and not 0 <= size - wanted < ROUNDING_BYTES,
                f"its disk has {size} bytes, the record's {wanted}",
            ),
        ]
        return [text for wrong, text in found if wrong] + self._changes(lineage)

    def _changes(self, lineage: TemplateLineage) -> list[str]:
        """Return what was changed by hand since the commit."""
        was = lineage.hardware
        if was is None or lineage.state != "ready":
            return []
        return [
            f"its {key} was {was.get(key, 'unset')} at the commit, and is {self.hardware.get(key, 'unset')}"
            for key in sorted(was.keys() | self.hardware.keys())
            if was.get(key) != self.hardware.get(key)
        ]


@dataclass
class MachineReader:
    """Reads machines of a cluster; each storage of each node is asked once.

    Attributes:
        client: of the site.
    """

    client: ProxmoxClient
    _sizes: dict[tuple[str, str], dict[str, int] | None] = field(
        default_factory=dict[tuple[str, str], dict[str, int] | None]
    )
    _storages: dict[tuple[str, str], StorageStatus | None] = field(
        default_factory=dict[tuple[str, str], StorageStatus | None]
    )

    def read(self, vmid: int, node: str) -> TemplateFacts:
        """Read one machine.

        Raises:
            NoSuchObject: there is none with this VMID on the node.
        """
        return self._facts(vmid, node, self.client.get_config(vmid, node=node))

    def _facts(self, vmid: int, node: str, config: MachineConfig) -> TemplateFacts:
        volid, size, thick, shared = config.volid, None, False, False
        disk: Disk = "hidden"
        lineage = parse_lineage(config.description)
        if volid is not None and lineage is not None:
            where = (node, volid.partition(":")[0])
            disk, size = self._disk(volid, *where)
            storage = self._storage(*where)
            thick, shared = storage is not None and storage.type == "lvm", storage is not None and storage.shared
        return TemplateFacts(
            vmid=vmid,
            node=node,
            name=config.name,
            template=config.template,
            lock=config.lock,
            tags=config.tags,
            protection=config.protection,
            volid=volid,
            disk_size_bytes=config.disk_size_bytes if disk == "hidden" else size,
            base=volid is not None and volid.partition(":")[2].rpartition("/")[2].startswith("base-"),
            thick=thick,
            shared=shared,
            digest=config.digest,
            hardware=config.hardware,
            lineage=lineage,
            disk=disk,
        )

    def _disk(self, volid: str, node: str, storage: str) -> tuple[Disk, int | None]:
        """Look for a volume: in the list of its storage, and by its id where the list does not have it."""
        sizes = self._volume_sizes(node, storage)
        if sizes is None:
            return "hidden", None
        if volid in sizes:
            return "seen", sizes[volid]
        try:
            volume = self.client.find_volume(volid, node=node)
        except PrivilegeMissing:
            return "hidden", None
        return ("absent", None) if volume is None else ("seen", volume.size)

    def _volume_sizes(self, node: str, storage: str) -> dict[str, int] | None:
        """Return the volumes that a storage lists; None where it lists none: no right to, switched off, not there."""
        if (node, storage) not in self._sizes:
            try:
                volumes = self.client.list_volumes(storage, "images", node=node)
            except ProxmoxError:
                self._sizes[node, storage] = None
            else:
                self._sizes[node, storage] = {volume.volid: volume.size for volume in volumes}
        return self._sizes[node, storage]

    def _storage(self, node: str, storage: str) -> StorageStatus | None:
        if (node, storage) not in self._storages:
            try:
                self._storages[node, storage] = self.client.get_storage(storage, node=node)
            except ProxmoxError:
                self._storages[node, storage] = None
        return self._storages[node, storage]


def audit(client: ProxmoxClient, vmid: int) -> TemplateFacts:
    """Read one machine of the site's node; where it is not there, of the node that has it.

    Raises:
        NoSuchObject: there is none with this VMID that the token may see.
    """
    node = next((machine.node for machine in client.list_machines() if machine.vmid == vmid), client.site.node)
    return MachineReader(client).read(vmid, node)


def audit_whole(client: ProxmoxClient, vmid: int) -> TemplateFacts:
    """Read one machine that was just written, its disk included, which a shared storage may show late.

    Raises:
        NoSuchObject: there is none with this VMID that the token may see.
        DiskUnseen: its storage did not show the disk within the site's patience.
    """

    def look() -> TemplateFacts:
        facts = audit(client, vmid)
        if facts.volid is not None and facts.lineage is not None and facts.disk == "absent":
            raise DiskUnseen(
                f"storage {facts.volid.partition(':')[0]} does not show {facts.volid}, the disk of VMID {vmid}",
                hint="see that the storage is whole and not slow (pvesm list), then run the seed again",
            )
        return facts

    return client.patiently(DiskUnseen)(look)


def read_machines(client: ProxmoxClient, concerns: Callable[[MachineSummary], object]) -> Iterator[TemplateFacts]:
    """Read those machines of the site's node that concern the caller, as they are now; each storage is asked once.

    Args:
        client: of the site.
        concerns: whether a machine is to be read, by its line in the node's list.
    """
    reader = MachineReader(client)
    for machine in client.list_node_machines():
        if concerns(machine):
            # What is gone was destroyed since the list was made.
            with suppress(NoSuchObject):
                yield reader.read(machine.vmid, machine.node)


def visible_volumes(client: ProxmoxClient, storage: str, *, node: str | None = None) -> list[Volume]:
    """List a storage's disks as far as the token may see them; none where it may not look there at all."""
    try:
        return client.list_volumes(storage, "images", node=node)
    except PrivilegeMissing:
        return []


def linked_clones(client: ProxmoxClient, template: TemplateFacts) -> list[str]:
    """Return the volumes that read from a template's disk, as far as the token may see them.

    The node looks once more before it destroys a base, for clones that the token may not see too. On LVM-thin a clone
    is a snapshot that reads from nothing else: there is none to return, and nothing to hold the template for.
    """
    if template.volid is None:
        return []
    storage = template.volid.partition(":")[0]
    return linked_volumes(visible_volumes(client, storage, node=template.node), template.vmid)


def linked_volumes(volumes: Sequence[Volume], vmid: int) -> list[str]:
    """Return the volumes that read from a template's disk.

    Storages tell it in two ways (pve-storage, `parse_volname` and `list_images`): by a parent (ZFS, RBD, qcow2 in a
    directory), or in the volume's own id (`local:9200/base-9200-disk-0.qcow2/105/vm-105-disk-0.qcow2`,
    `ceph:base-9200-disk-0/vm-105-disk-0`).
    """
    base = re.compile(rf"(^|[/:])base-{vmid}-")
    return [
        volume.volid
        for volume in volumes
        if base.search(volume.parent or "") or re.search(rf"[/:]base-{vmid}-[^/]*/", volume.volid)
    ]
