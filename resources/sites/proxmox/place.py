"""A Proxmox VE node as a place that is seeded: what the seeder, the sweep and the client do, in common words."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from pydantic import BaseModel

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.record import Record
from hyops_assets.contract.register_inputs import TemplateImportInputs
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.state import template_outputs
from hyops_assets.contract.upkeep import IsLive
from resources.sites.base import Audited, Fact, Order, Registered, Seeded, Vouched
from resources.sites.cleanup import CleanupContext, Removal, SiteObject
from resources.sites.links import Link
from resources.sites.mistyped_id import there_instead
from resources.sites.proxmox.errors import NoSuchObject
from resources.sites.proxmox.facts import MachineReader, TemplateFacts
from resources.sites.proxmox.preflight import Route, require_readable, require_version, require_writable
from resources.sites.proxmox.registration import NotThatTemplate, registered, require_template
from resources.sites.proxmox.report import SeededTemplate
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.superseded import superseded_templates
from resources.sites.proxmox.sweep import Sweep


class Node:
    """One node.

    Args:
        seeder: of the site.
        name: of the site.
        environment: the id of the environment that asks; None where it has none.
        is_live: tells whether another run is still at work.
        uploads: whether records are uploaded by this host, not downloaded by the node.
    """

    def __init__(
        self, seeder: ProxmoxSeeder, name: str, *, environment: str | None, is_live: IsLive, uploads: bool = False
    ) -> None:
        self._seeder = seeder
        self._client = seeder.client
        self._name = name
        self._environment = environment
        self._is_live = is_live
        self._route: Route = "upload" if uploads else "download"

    def holds(self, record: Record) -> bool:
        """Whether a complete template of the record stands here. Raises SiteNotReady as `ProxmoxSeeder.find`."""
        return self._seeder.find(record) is not None

    def outlook(self, record: Record, options: BaseModel) -> str:
        """Return the VMID that a seed would adopt. Raises as `ProxmoxSeeder.outlook`."""
        if not isinstance(options, TemplateOptions):
            raise TypeError(type(options).__name__)
        adopted = self._seeder.outlook(record, options, self._environment).adopt
        return str(adopted.vmid) if adopted is not None else ""

    def register(self, claimed: ModuleInputs) -> Registered:
        """Look at a template that others made. Raises as `require_template`, where nothing stands there too."""
        if not isinstance(claimed, TemplateImportInputs):
            raise TypeError(type(claimed).__name__)
        lab = self._seeder.site.lab
        try:
            facts = self._seeder.audit(claimed.template_vm_id)
        except NoSuchObject as error:
            templates = {one.vmid: one.name or "" for one in self._seeder.client.list_machines() if one.template}
            raise NotThatTemplate(
                f"proxmox/{self._name} has no machine {claimed.template_vm_id} that the token may see; "
                f"expected a template; {there_instead('templates', templates)}",
                hint="set template_vm_id to one of them, or have one made: apply core/onprem/vyos-template-seed",
            ) from error
        found = require_template(facts, claimed, lab=lab, environment=self._environment)
        return registered(found, claimed, lab=lab)

    def seed(self, order: Order) -> Seeded:
        """Have one complete template of the record. Raises as `ProxmoxSeeder.seed`."""
        options = order.asked(TemplateOptions)
        _require_true_slot(order, options)
        seeded = self._seeder.seed(order.request(order.contract.url_of("qcow2")), options, progress=order.progress)
        return Seeded(
            ref=str(seeded.vmid),
            report=seeded,
            environment=seeded.lineage.environment,
            size_bytes=seeded.disk_size_bytes,
            outputs=template_outputs(
                order.contract,
                vmid=seeded.vmid,
                name=seeded.name,
                node=seeded.node,
                seeded=seeded.outcome != "adopted",
            ),
            facts=_facts(seeded),
        )

    def vouch(self, contract: Contract, ref: str, *, made: bool) -> Vouched:
        """Look at a template as an import does. Raises as `require_template`, and NoSuchObject."""
        claimed = TemplateImportInputs(
            template_key=contract.record.key,
            template_vm_id=int(ref),
            template_image_version=contract.record.version,
        )
        facts = self._seeder.audit(int(ref))
        found = require_template(facts, claimed, lab=self._seeder.site.lab, environment=self._environment)
        outputs = template_outputs(
            contract, vmid=int(ref), name=found.facts.name or "", node=found.facts.node, seeded=made
        )
        return Vouched(outputs, found.warnings)

    def audit(self, ref: str) -> Audited:
        """Read one machine.

        Raises:
            NoSuchObject: there is none with this VMID that the token may see.
        """
        return audited(self._seeder.audit(int(ref)))

    def list(self, wanted: Collection[str]) -> Mapping[str, Audited]:
        """Read every template of the node, and what is wanted wherever it is.

        Raises:
            SiteNotReady: the token cannot see templates.
        """
        require_readable(self._client)
        reader, found = MachineReader(self._client), dict[str, Audited]()
        # The node's own list: the cluster's learns of a template late, or never.
        places = {
            machine.vmid: machine.node for machine in self._client.list_machines() if str(machine.vmid) in wanted
        }
        places |= {
            machine.vmid: self._client.site.node for machine in self._client.list_node_machines() if machine.template
        }
        for vmid, node in places.items():
            with suppress(NoSuchObject):
                found[str(vmid)] = audited(reader.read(vmid, node))
        return found

    def sweep(self, at_work: Callable[[], str | None]) -> Sweep:
        """Look for half-made templates and smoke clones."""
        return Sweep(
            self._client,
            self._name,
            environment=self._environment,
            is_live=self._is_live,
            at_work=at_work,
            clock=time.time,
        )

    def superseded(self, ground: CleanupContext) -> Removal[SiteObject[TemplateFacts]]:
        """Look for templates that newer records have replaced."""
        return superseded_templates(self._client, ground)

    def preflight(self) -> str:
        """Say whether the site answers, is new enough, and its token may see and do what a seed does."""
        version, how = require_version(self._client), " by upload" if self._route == "upload" else ""
        require_readable(self._client)
        require_writable(self._client, route=self._route, version=version, needed_bytes=0)
        return f"Proxmox VE {version} on {self._seeder.site.host}; the token may seed{how}"


def audited(facts: TemplateFacts) -> Audited:
    """Return what a machine says of itself."""
    lineage, own = facts.lineage, facts.own_lineage
    committed = facts.template and own is not None and own.state == "ready"
    return Audited(
        whole=Link("is a whole template", "yes", "yes" if facts.converted else "no"),
        state=lineage.state if lineage else None,
        disk_sha256=lineage.disk_sha256 if lineage else None,
        record_digest=lineage.record_digest if lineage else None,
        environment=lineage.environment if lineage else None,
        fault=lambda record: Link("has no other fault", "", "; ".join(facts.problems(record))),
        ready=(own.record_digest, own.environment) if own and committed else None,
    )


def _require_true_slot(order: Order, options: TemplateOptions) -> None:
    """Refuse to replace a template that the site's state goes on naming as another record's.

    Raises:
        Refused: the state names this VMID, and this seed would not move it.
    """
    slot, version = order.slot(), order.contract.record.version
    named = slot.outputs.get("template_vm_id") == options.template_vm_id is not None
    another = slot.outputs.get("record_digest") != order.contract.record_digest
    if options.rebuild_if_exists and named and another and not slot.moves():
        raise Refused(
            f"{slot.ref} names VMID {options.template_vm_id} as {slot.outputs.get('template_image_version')}, and "
            f"seeding {version} does not move it: it would name what is gone",
            hint="seed the record that the build's state names, or leave template_vm_id out",
        )


def _facts(seeded: SeededTemplate) -> dict[str, Fact]:
    """Return what an auditor sees of a seed on a Proxmox site."""
    return {
        "vmid": seeded.vmid,
        "name": seeded.name,
        "node": seeded.node,
        "volume": seeded.volid,
        "bytes_transferred": seeded.bytes_transferred,
        "smoke": seeded.smoke,
        "replaced": seeded.replaced or "nothing",
        "tasks": list(seeded.upids),
        "verified": dict(seeded.verified),
    }
