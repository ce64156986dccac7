"""The seed `hetzner_image`: a published record as a snapshot in a Hetzner Cloud project, once per site.

What belongs here: which record goes where, and what is told about it. How a project is brought to hold the bytes
stands in `resources/hetzner`.
"""

import dagster as dg

from hyops_assets.assets.by_command import seeded_by
from hyops_assets.assets.paying import PaidSeed, require_within_cap
from hyops_assets.assets.seeding import (
    GROUP,
    instance_of,
    known_of,
    lineage_of,
    made_by_command,
    move_slot,
    others_live,
    request_of,
    seeded_at,
    url_of,
)
from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.references import IMAGE_SEED, StateRef
from hyops_assets.contract.register_inputs import ImageRegisterInputs
from hyops_assets.contract.settings import Settings
from hyops_assets.contract.site_settings import default_site
from hyops_assets.contract.state import image_outputs
from hyops_assets.partitions import HETZNER_SEEDS, site_of
from resources.artifacts.store import ArtifactStore
from resources.hetzner.found import require_image
from resources.hetzner.resource import HetznerProjects
from resources.hetzner.seed import HetznerSeeder
from resources.states.store import StateStore


@dg.asset(
    partitions_def=HETZNER_SEEDS, group_name=GROUP, kinds={"hetzner"}, code_version="1", io_manager_key="documents"
)
def hetzner_image(
    context: dg.AssetExecutionContext,
    config: PaidSeed,
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
        seeder = hetzner.seeder(site, is_live=others_live(context))
        absent = not seeder.find(contract.record)
        if config.seed_command and absent:
            return _image_by_command(context, config, contract, site, settings, store, states, seeder, progress)
        if absent:
            require_within_cap(context, config, settings)
        seeded = seeder.seed(request_of(context, contract, url_of(contract, "raw.xz")), progress=progress)
        progress.ended(seeded.outcome, contract.record.disk.size_bytes)
    outputs = image_outputs(
        contract,
        image_ref=seeded.image_ref,
        name=seeded.name,
        description=seeded.description,
        seeded=seeded.outcome != "adopted",
    )
    ref = StateRef(IMAGE_SEED, instance_of(site, default_site(settings.sites.hetzner)))
    return dg.MaterializeResult(
        value=seeded_at(contract, site, seeded.image_ref),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=lineage_of(contract, seeded.outcome)
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
            **move_slot(states, ref, contract, context.run, outputs),
        },
    )


def _image_by_command(
    context: dg.AssetExecutionContext,
    config: PaidSeed,
    contract: Contract,
    site: str,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
    seeder: HetznerSeeder,
    progress: Step,
) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as a registration does."""
    known = known_of("hetzner_image", context, contract, store)
    if known is None:
        require_within_cap(context, config, settings)
    image_ref = known.ref if known else str(seeded_by(config, contract, "raw.xz", site, "image", store, progress))
    claimed = ImageRegisterInputs(
        image_key=contract.record.key, image_ref=image_ref, image_version=contract.record.version
    )
    found = require_image(seeder.audit(image_ref), claimed, lab=settings.hetzner_site(site).lab)
    progress.ended("adopted" if known else "created", 0)
    description = found.facts.description
    outputs = image_outputs(contract, image_ref=image_ref, name=description, description=description, seeded=not known)
    ref = StateRef(IMAGE_SEED, instance_of(site, default_site(settings.sites.hetzner)))
    return made_by_command(context, contract, site, image_ref, found.warnings, progress, states, ref, outputs)
