"""Group `seeds`: a published record as a Proxmox template and as a Hetzner image, once per site.

What belongs here: which record goes where, and what is told about it. How a cloud is brought to hold the bytes
stands in `resources/proxmox` and `resources/hetzner`.
"""

import dagster as dg

from hyops_assets.assets.asked import another_slot, module_run, record_state
from hyops_assets.assets.by_command import SeedByCommand, seeded_by
from hyops_assets.assets.publishing import ARTIFACT_STATE, BUILD_STATE
from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_assets.contract.register_inputs import ImageRegisterInputs, TemplateImportInputs
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.settings import Settings, default_site
from hyops_assets.contract.state import Outputs, image_outputs, template_outputs
from hyops_assets.partitions import HETZNER_SEEDS, PROXMOX_SEEDS, site_of
from resources.artifacts.store import ArtifactStore
from resources.hetzner.found import require_image
from resources.hetzner.resource import HetznerProjects
from resources.hetzner.seed import HetznerSeeder
from resources.proxmox.found import require_template
from resources.proxmox.resource import ProxmoxSeeders
from resources.proxmox.seed import ProxmoxSeeder
from resources.states.store import StateStore

GROUP = "seeds"


@dg.asset(
    partitions_def=PROXMOX_SEEDS, group_name=GROUP, kinds={"proxmox"}, code_version="1", io_manager_key="documents"
)
def proxmox_template(
    context: dg.AssetExecutionContext,
    config: SeedByCommand,
    published_contract: Contract,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    states: dg.ResourceParam[StateStore],
    proxmox: dg.ResourceParam[ProxmoxSeeders],
) -> dg.MaterializeResult[SeededAt]:
    """The record's qcow2 as a template of its own VMID on a Proxmox VE site, found by digest or created.

    A template that holds this record's disk is adopted without a mutating call.
    """
    contract = published_contract
    site = site_of(context.partition_key)
    with step(context, "proxmox_template") as progress:
        seeder = proxmox.seeder(site, is_live=lambda run_id: _is_live(context.instance, run_id))
        if config.seed_command and not seeder.find(contract.record):
            return _template_by_command(context, config, contract, site, settings, store, states, seeder, progress)
        seeded = seeder.seed(_request(context, contract, _url(contract, "qcow2")), progress=progress)
        progress.ended(seeded.outcome, seeded.disk_size_bytes)
    outputs = template_outputs(
        contract, vmid=seeded.vmid, name=seeded.name, node=seeded.node, seeded=seeded.outcome != "adopted"
    )
    ref = StateRef(TEMPLATE_SEED, _instance(site, default_site(settings.sites.proxmox)))
    return dg.MaterializeResult(
        value=_seeded_at(contract, site, str(seeded.vmid)),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=_lineage(contract, seeded.outcome)
        | {
            "vmid": seeded.vmid,
            "name": seeded.name,
            "node": seeded.node,
            "volume": seeded.volid,
            "bytes_transferred": seeded.bytes_transferred,
            "smoke": seeded.smoke,
            "tasks": dg.MetadataValue.json(list(seeded.upids)),
            "verified": dg.MetadataValue.json(dict(seeded.verified)),
            "warnings": dg.MetadataValue.json(list(seeded.warnings)),
            "timings": dg.MetadataValue.json(dict(seeded.timings)),
            **_move_slot(states, ref, contract, context.run, outputs),
        },
    )


@dg.asset(
    partitions_def=HETZNER_SEEDS, group_name=GROUP, kinds={"hetzner"}, code_version="1", io_manager_key="documents"
)
def hetzner_image(
    context: dg.AssetExecutionContext,
    config: SeedByCommand,
    published_contract: Contract,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    states: dg.ResourceParam[StateStore],
    hetzner: dg.ResourceParam[HetznerProjects],
) -> dg.MaterializeResult[SeededAt]:
    """The record's raw.xz as a snapshot in a Hetzner Cloud project, found by digest or written and read back.

    A snapshot that is ready and carries this record's digest is adopted without a mutating call.
    """
    contract = published_contract
    site = site_of(context.partition_key)
    with step(context, "hetzner_image") as progress:
        seeder = hetzner.seeder(site, is_live=lambda run_id: _is_live(context.instance, run_id))
        if config.seed_command and not seeder.find(contract.record):
            return _image_by_command(context, config, contract, site, settings, store, states, seeder, progress)
        seeded = seeder.seed(_request(context, contract, _url(contract, "raw.xz")), progress=progress)
        progress.ended(seeded.outcome, contract.record.disk.size_bytes)
    outputs = image_outputs(
        contract,
        image_ref=seeded.image_ref,
        name=seeded.name,
        description=seeded.description,
        seeded=seeded.outcome != "adopted",
    )
    ref = StateRef(IMAGE_SEED, _instance(site, default_site(settings.sites.hetzner)))
    return dg.MaterializeResult(
        value=_seeded_at(contract, site, seeded.image_ref),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=_lineage(contract, seeded.outcome)
        | {
            "image_ref": seeded.image_ref,
            "description": seeded.description,
            "labels": dg.MetadataValue.json(dict(seeded.labels)),
            "transport_sha256": seeded.transport_sha256 or "adopted: nothing was sent",
            "readback_sha256": seeded.readback_sha256 or "adopted: nothing was written",
            "bytes_written": seeded.bytes_written,
            "server_type": seeded.server_type or "none",
            "location": seeded.location or "none",
            "timings": dg.MetadataValue.json(seeded.timings),
            **_move_slot(states, ref, contract, context.run, outputs),
        },
    )


def _template_by_command(
    context: dg.AssetExecutionContext,
    config: SeedByCommand,
    contract: Contract,
    site: str,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
    seeder: ProxmoxSeeder,
    progress: Step,
) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as an import does."""
    known = _known("proxmox_template", context, contract, store)
    vmid = int(known.ref) if known else seeded_by(config, contract, "qcow2", site, "template_vm_id", store, progress)
    claimed = TemplateImportInputs(
        template_key=contract.record.key, template_vm_id=vmid, template_image_version=contract.record.version
    )
    found = require_template(seeder.audit(vmid), claimed, lab=settings.proxmox_site(site).lab)
    progress.ended("adopted" if known else "created", 0)
    outputs = template_outputs(
        contract, vmid=vmid, name=found.facts.name or "", node=found.facts.node, seeded=not known
    )
    ref = StateRef(TEMPLATE_SEED, _instance(site, default_site(settings.sites.proxmox)))
    return _of_command(context, contract, site, str(vmid), found.warnings, progress, states, ref, outputs)


def _image_by_command(
    context: dg.AssetExecutionContext,
    config: SeedByCommand,
    contract: Contract,
    site: str,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
    seeder: HetznerSeeder,
    progress: Step,
) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as a registration does."""
    known = _known("hetzner_image", context, contract, store)
    image_ref = known.ref if known else str(seeded_by(config, contract, "raw.xz", site, "image", store, progress))
    claimed = ImageRegisterInputs(
        image_key=contract.record.key, image_ref=image_ref, image_version=contract.record.version
    )
    found = require_image(seeder.audit(image_ref), claimed, lab=settings.hetzner_site(site).lab)
    progress.ended("adopted" if known else "created", 0)
    description = found.facts.description
    outputs = image_outputs(contract, image_ref=image_ref, name=description, description=description, seeded=not known)
    ref = StateRef(IMAGE_SEED, _instance(site, default_site(settings.sites.hetzner)))
    return _of_command(context, contract, site, image_ref, found.warnings, progress, states, ref, outputs)


def _known(asset: str, context: dg.AssetExecutionContext, contract: Contract, store: ArtifactStore) -> SeededAt | None:
    """Return what an earlier run's command made of this very record at this site."""
    held = store.find_document(asset, context.partition_key, SeededAt)
    return held if held is not None and held.record_digest == contract.record_digest else None


def _of_command(
    context: dg.AssetExecutionContext,
    contract: Contract,
    site: str,
    made: str,
    warnings: tuple[str, ...],
    progress: Step,
    states: StateStore,
    ref: StateRef,
    outputs: Outputs,
) -> dg.MaterializeResult[SeededAt]:
    return dg.MaterializeResult(
        value=_seeded_at(contract, site, made),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=_lineage(contract, progress.outcome)
        | {
            "seeded by": "a command of the operator's: that it is there was looked up, its disk was not read back",
            "ref": made,
            "warnings": dg.MetadataValue.json(list(warnings)),
            **_move_slot(states, ref, contract, context.run, outputs),
        },
    )


def _request(context: dg.AssetExecutionContext, contract: Contract, url: str) -> SeedRequest:
    return SeedRequest(record=contract.record, url=url, run_id=context.run.run_id, site=site_of(context.partition_key))


def _is_live(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell whether a run is still at work: what it put into a cloud is then not a leftover."""
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _instance(site: str, default: str | None) -> str | None:
    """Return the state instance of a site: the default site's state is `latest.json` (design, rule 5)."""
    return None if site == default else site


def _move_slot(
    states: StateStore, own: StateRef, contract: Contract, run: dg.DagsterRun, outputs: Outputs
) -> dict[str, str | bool]:
    """Write the site's state slot if this is the record that the build slot names; seeding history moves none.

    A slot that the run was asked to write instead is written whatever the record: nobody else's meaning moves.
    """
    asked = another_slot(run, own)
    naming = _naming_state(states, run)
    named = states.find(naming)
    if asked is None and (named is None or named.outputs.get("record_digest") != contract.record_digest):
        return {"state": f"{own} stays: {naming} names another record", "state_changed": False}
    ref = asked or own
    changed = states.commit(ref, run_id=module_run(run), outputs=outputs)
    return {"state": str(states.path(ref)), "state_changed": changed}


def _naming_state(states: StateStore, run: dg.DagsterRun) -> StateRef:
    """Return the state whose record moves a site's slot: the build's, or a registered record's.

    The latter where the seed was asked for by it, or where this environment builds none.
    """
    asked = record_state(run)
    if asked is not None and asked.module == ARTIFACT_STATE.module:
        return asked
    return BUILD_STATE if states.find(BUILD_STATE) is not None or asked is not None else ARTIFACT_STATE


def _url(contract: Contract, format_: VariantFormat) -> str:
    if format_ not in contract.urls:
        raise Refused(
            f"{contract.record.key} {contract.record.version} was registered without its {format_}",
            hint="register it again with both variants (record_variants), or build it here",
        )
    return contract.urls[format_]


def _seeded_at(contract: Contract, site: str, ref: str) -> SeededAt:
    return SeededAt(
        site=site,
        ref=ref,
        version=contract.record.version,
        record_digest=contract.record_digest,
        disk_sha256=contract.record.disk.sha256,
    )


def _lineage(contract: Contract, outcome: str) -> dict[str, str | int | dg.MetadataValue]:
    record = contract.record
    return {
        "outcome": outcome,
        "version": record.version,
        "disk_sha256": record.disk.sha256,
        "record_digest": contract.record_digest,
        "record document": dg.MetadataValue.url(contract.record_url) if contract.record_url else "none",
        "iso_sha256": record.iso_sha256 or "registered: built elsewhere",
        "disk_bytes": record.disk.size_bytes,
    }
