"""What a seed tells: the template, how it came to be there, and what was compared with what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.seeding import Outcome
from resources.sites.journal import SeedReport
from resources.sites.proxmox.errors import SeedFailed
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.lineage import TemplateLineage
from resources.sites.proxmox.tasks import NodeJournal


@dataclass(frozen=True, kw_only=True)
class SeededTemplate(SeedReport):
    """A complete template of the record, and how it came to be there.

    Attributes:
        node: the one that holds it: where the disk is shared it may be another than the site's.
        volid: the template's disk; `disk_size_bytes` is what a guest sees.
        bytes_transferred: bytes of the image that went to the node in this seed; 0 where it had them.
        smoke: `off` where the gate was off; of an adopted template, what its own seed had.
        replaced: the record version that stood under the VMID before, empty where none did.
        verified: what was compared with what, and by whom.
    """

    vmid: int
    name: str
    node: str
    volid: str
    disk_size_bytes: int
    lineage: TemplateLineage
    upids: tuple[str, ...]
    bytes_transferred: int
    smoke: Literal["passed", "off"]
    replaced: str
    verified: Mapping[str, str]


def report(
    outcome: Outcome,
    template: TemplateFacts,
    journal: NodeJournal,
    *,
    owner: Owner,
    gate: bool,
    sent: int = 0,
    replaced: str = "",
) -> SeededTemplate:
    """Return the report of a seed that ended well.

    Raises:
        SeedFailed: the template vanished while it was read.
    """
    lineage, volid, size = template.lineage, template.volid, template.disk_size_bytes
    if lineage is None or volid is None or size is None:
        raise SeedFailed(f"VMID {template.vmid} vanished while it was read", hint="run the seed again")
    smoke = lineage.smoke or "off"
    if smoke == "off" and gate:
        journal.warn(f"VMID {template.vmid} was seeded while the site's smoke gate was off: no clone was booted")
    return SeededTemplate(
        outcome=outcome,
        vmid=template.vmid,
        name=template.name or "",
        node=template.node,
        volid=volid,
        disk_size_bytes=size,
        lineage=lineage,
        owner=owner,
        upids=tuple(journal.upids),
        bytes_transferred=sent,
        smoke=smoke,
        replaced=replaced,
        verified=_verified(lineage, template, smoke),
        warnings=tuple(journal.warnings),
        timings=dict(journal.timings),
    )


def _verified(lineage: TemplateLineage, template: TemplateFacts, smoke: str) -> dict[str, str]:
    """Say which digest was compared where. The API reads no disk back, and this does not pretend that it did."""
    size = f"{template.disk_size_bytes} bytes"
    where = "on the storage" if template.disk == "seen" else "by its configuration, the token may not see the volume"
    return {
        "image": f"sha256 {lineage.qcow2_sha256} of the qcow2, computed by the node before the import",
        "disk": f"{size} {where}; its content was copied from that qcow2 by the node and not read back",
        "lineage": "description read back from the node after the commit",
        "smoke": "a clone booted and its guest agent answered" if smoke == "passed" else "gate off: nothing booted",
    }
