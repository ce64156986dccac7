"""The seed `proxmox_template`: a published record as a template on a Proxmox VE site, once per site.

What belongs here: which record goes where, and what is reported of it. How a site is brought to hold the bytes stands
in `resources/sites/proxmox`.
"""

import dagster as dg

from hyops_assets.assets.by_command import seeded_by
from hyops_assets.assets.run_config import Asked, fields_of
from hyops_assets.assets.seeding import (
    GROUP,
    instance_of,
    known_of,
    lineage_of,
    made_by_command,
    maker_of,
    move_slot,
    moves_slot,
    others_live,
    ownership_of,
    request_of,
    seeded_at,
    url_of,
)
from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.references import TEMPLATE_SEED, StateRef
from hyops_assets.contract.register_inputs import TemplateImportInputs
from hyops_assets.contract.state import template_outputs
from hyops_assets.contract.template_options import TemplateOptions
from hyops_assets.partitions import PROXMOX_SEEDS, site_of
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.border import bordered
from resources.sites.proxmox.found import require_template
from resources.sites.proxmox.resource import ProxmoxSeeders
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.states.store import StateStore


@dg.asset(
    partitions_def=PROXMOX_SEEDS,
    group_name=GROUP,
    kinds={"proxmox"},
    code_version="1",
    io_manager_key="documents",
    config_schema=fields_of(TemplateOptions),
)
@bordered
def proxmox_template(
    context: dg.AssetExecutionContext,
    published_contract: Contract,
    asked: dg.ResourceParam[Asked],
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    states: dg.ResourceParam[StateStore],
    proxmox: dg.ResourceParam[ProxmoxSeeders],
) -> dg.MaterializeResult[SeededAt]:
    """The record's qcow2 as a template of its own VMID on a Proxmox VE site, found by digest or created.

    A template that holds this record's disk is adopted without a mutating call.
    """
    contract, options, handed_over = published_contract, asked.of(TemplateOptions), asked.handed_over
    site = site_of(context.partition_key)
    with step(context, "proxmox_template") as progress:
        seeder = proxmox.seeder(site, is_live=others_live(context))
        if handed_over.seed_command and not seeder.find(contract.record):
            return _template_by_command(
                context, handed_over, contract, site, settings, store, states, seeder, progress
            )
        _require_true_slots(context, options, contract, site, settings, states)
        request = request_of(context, contract, url_of(contract, "qcow2"), settings)
        seeded = seeder.seed(request, options, progress=progress)
        progress.ended(seeded.outcome, seeded.disk_size_bytes)
    outputs = template_outputs(
        contract, vmid=seeded.vmid, name=seeded.name, node=seeded.node, seeded=seeded.outcome != "adopted"
    )
    maker = maker_of(seeded.owner, seeded.lineage.environment, request)
    if maker is not None:
        outputs["template_environment"] = maker
    ref = StateRef(TEMPLATE_SEED, instance_of(site, default_site(settings.sites.proxmox)))
    return dg.MaterializeResult(
        value=seeded_at(contract, site, str(seeded.vmid), maker),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=lineage_of(contract, seeded.outcome)
        | {
            "vmid": seeded.vmid,
            "name": seeded.name,
            "node": seeded.node,
            "volume": seeded.volid,
            "ownership": ownership_of(seeded.owner),
            "bytes_transferred": seeded.bytes_transferred,
            "smoke": seeded.smoke,
            "replaced": seeded.replaced or "nothing",
            "tasks": dg.MetadataValue.json(list(seeded.upids)),
            "verified": dg.MetadataValue.json(dict(seeded.verified)),
            "warnings": dg.MetadataValue.json(list(seeded.warnings)),
            "timings": dg.MetadataValue.json(dict(seeded.timings)),
            **move_slot(states, ref, contract, context.run, outputs),
        },
    )


def _require_true_slots(
    context: dg.AssetExecutionContext,
    options: TemplateOptions,
    contract: Contract,
    site: str,
    settings: Settings,
    states: StateStore,
) -> None:
    """Refuse to replace a template that the site's state goes on naming as another record's.

    Raises:
        Refused: the state names this VMID, and this seed would not move it.
    """
    ref = StateRef(TEMPLATE_SEED, instance_of(site, default_site(settings.sites.proxmox)))
    state = states.find(ref)
    outputs = state.outputs if state is not None else {}
    named = outputs.get("template_vm_id") == options.template_vm_id is not None
    another = outputs.get("record_digest") != contract.record_digest
    if options.rebuild_if_exists and named and another and not moves_slot(states, ref, contract, context.run):
        raise Refused(
            f"{ref} names VMID {options.template_vm_id} as {outputs.get('template_image_version')}, and seeding "
            f"{contract.record.version} does not move it: it would name what is gone",
            hint="seed the record that the build's state names, or leave template_vm_id out",
        )


def _template_by_command(
    context: dg.AssetExecutionContext,
    handed_over: HandedOver,
    contract: Contract,
    site: str,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
    seeder: ProxmoxSeeder,
    progress: Step,
) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as an import does."""
    known = known_of("proxmox_template", context, contract, store)
    vmid = (
        int(known.ref) if known else seeded_by(handed_over, contract, "qcow2", site, "template_vm_id", store, progress)
    )
    claimed = TemplateImportInputs(
        template_key=contract.record.key, template_vm_id=vmid, template_image_version=contract.record.version
    )
    found = require_template(
        seeder.audit(vmid), claimed, lab=settings.proxmox_site(site).lab, environment=settings.environment_id
    )
    progress.ended("adopted" if known else "created", 0)
    outputs = template_outputs(
        contract, vmid=vmid, name=found.facts.name or "", node=found.facts.node, seeded=not known
    )
    ref = StateRef(TEMPLATE_SEED, instance_of(site, default_site(settings.sites.proxmox)))
    return made_by_command(context, contract, site, str(vmid), found.warnings, progress, states, ref, outputs)
