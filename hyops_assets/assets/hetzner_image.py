"""The seed `hetzner_image`: a published record as a snapshot in a Hetzner Cloud project, once per site.

What belongs here: which record goes where, and what is reported about it. How a project is brought to hold the bytes
stands in `resources/sites/hetzner`.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import dagster as dg
from pydantic import Field, StringConstraints

from hyops_assets.assets.by_command import seeded_by
from hyops_assets.assets.paying import PaidSeed, require_within_cap
from hyops_assets.assets.run_config import Asked, fields_of
from hyops_assets.assets.seeding import (
    GROUP,
    instance_of,
    known_of,
    lineage_of,
    made_by_command,
    maker_of,
    move_slot,
    others_live,
    ownership_of,
    request_of,
    seeded_at,
)
from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.inputs import IMAGE_REF, SEED_LOCATION, SEED_SERVER_TYPE
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import IMAGE_SEED, StateRef
from hyops_assets.contract.register_inputs import ImageRegisterInputs
from hyops_assets.contract.state import image_outputs
from hyops_assets.partitions import HETZNER_SEEDS, site_of
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import default_site
from resources.artifacts.store import ArtifactStore
from resources.border import bordered
from resources.sites.hetzner.found import require_image
from resources.sites.hetzner.report import SeededImage
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.hetzner.wishes import Wishes, Wrapper
from resources.states.store import StateStore

if TYPE_CHECKING:
    from resources.sites.hetzner.seed import HetznerSeeder


class ImageSeedConfig(PaidSeed):
    """What is asked of one seed besides which record: inputs of `core/hetzner/vyos-image-seed`."""

    image_ref: Annotated[str, StringConstraints(pattern=IMAGE_REF)] = Field(
        default="", description="id or description of the snapshot that has to hold the record"
    )
    seed_if_missing: bool = Field(default=True, description="make it where there is none")
    seed_location: Annotated[str, StringConstraints(pattern=SEED_LOCATION)] = Field(
        default="", description="of the server that writes"
    )
    seed_server_type: Annotated[str, StringConstraints(pattern=SEED_SERVER_TYPE)] = Field(
        default="", description="of the server that writes"
    )

    @property
    def may_create(self) -> bool:
        """Whether a snapshot is made where none holds the record."""
        return self.seed_if_missing and not self.image_ref

    def wishes(self, wrapper: Wrapper | None) -> Wishes:
        """Return them as the seeder takes them."""
        return Wishes(
            server_type=self.seed_server_type,
            location=self.seed_location,
            image_ref=self.image_ref,
            create=self.seed_if_missing,
            wrapper=wrapper,
        )


def _wrapper(handed_over: HandedOver) -> Wrapper | None:
    return Wrapper(handed_over.wrapper_base_url, handed_over.wrapper_port) if handed_over.wrapper_base_url else None


def _takes(contract: Contract, wrapper: Wrapper | None) -> VariantFormat:
    """Return which variant of a record is taken: its raw.xz; a qcow2 only where it has none and may be wrapped."""
    return "qcow2" if wrapper and "raw.xz" not in contract.urls else "raw.xz"


def _source(contract: Contract, wrapper: Wrapper | None) -> str:
    """Return what an auditor sees of the variant that was taken."""
    if _takes(contract, wrapper) == "qcow2":
        return f"{contract.urls['qcow2']}, wrapped by this host"
    if "raw.xz" not in contract.urls:
        return "none: the snapshot was there"
    unused = "; nothing was wrapped: the record has a raw.xz" if wrapper else ""
    return f"{contract.urls['raw.xz']}{unused}"


@dg.asset(
    partitions_def=HETZNER_SEEDS,
    group_name=GROUP,
    kinds={"hetzner"},
    code_version="1",
    io_manager_key="documents",
    config_schema=fields_of(ImageSeedConfig),
)
@bordered
def hetzner_image(
    context: dg.AssetExecutionContext,
    published_contract: Contract,
    asked: dg.ResourceParam[Asked],
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    states: dg.ResourceParam[StateStore],
    hetzner: dg.ResourceParam[HetznerProjects],
) -> dg.MaterializeResult[SeededAt]:
    """The record's raw.xz as a snapshot in a Hetzner Cloud project, found by digest or written and read back.

    A snapshot that is ready and carries this record's digest is adopted without a mutating call.
    """
    contract, config, wrapper = published_contract, asked.of(ImageSeedConfig), _wrapper(asked.handed_over)
    site = site_of(context.partition_key)
    with step(context, "hetzner_image") as progress:
        seeder = hetzner.seeder(site, is_live=others_live(context))
        absent = not seeder.find(contract.record)
        if asked.handed_over.seed_command and absent:
            return _image_by_command(context, asked, contract, site, settings, store, states, seeder, progress)
        if absent and config.may_create:
            require_within_cap(context, config, settings)
        # Without one of the variant that is taken, only what is there already is found; the seeder refuses the rest.
        request = request_of(context, contract, contract.urls.get(_takes(contract, wrapper), ""), settings)
        seeded = seeder.seed(request, wishes=config.wishes(wrapper), progress=progress)
        progress.ended(seeded.outcome, contract.record.disk.size_bytes)
    outputs = image_outputs(
        contract,
        image_ref=seeded.image_ref,
        name=seeded.name,
        description=seeded.description,
        seeded=seeded.outcome != "adopted",
    )
    maker = maker_of(seeded.owner, seeded.labels.get("hyops_environment"), request)
    if maker is not None:
        outputs["image_environment"] = maker
    ref = StateRef(IMAGE_SEED, instance_of(site, default_site(settings.sites.hetzner)))
    return dg.MaterializeResult(
        value=seeded_at(contract, site, seeded.image_ref, maker),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=lineage_of(contract, seeded.outcome)
        | _told(seeded)
        | {"source": _source(contract, wrapper), **move_slot(states, ref, contract, context.run, outputs)},
    )


def _told(seeded: SeededImage) -> dict[str, dg.MetadataValue | str | int]:
    """Return what an auditor sees of a seed in a Hetzner project. Costs are estimates, net and in EUR."""
    return {
        "image_ref": seeded.image_ref,
        "description": seeded.description,
        "ownership": ownership_of(seeded.owner),
        "labels": dg.MetadataValue.json(dict(seeded.labels)),
        "transport_sha256": seeded.transport_sha256 or f"{seeded.outcome}: nothing was sent",
        "readback_sha256": seeded.readback_sha256 or f"{seeded.outcome}: nothing was written",
        "rescue_proof": ", ".join(seeded.rescue_proof) or f"{seeded.outcome}: no server was made",
        "bytes_written": seeded.bytes_written,
        "bytes_sent": seeded.bytes_sent,
        "server_type": seeded.server_type or "none",
        "location": seeded.location or "none",
        "timings": dg.MetadataValue.json(seeded.timings),
        "cost": dg.MetadataValue.json(asdict(seeded.cost)),
        "other snapshots of this name": dg.MetadataValue.json(list(seeded.others)),
        "leftovers removed": dg.MetadataValue.json(list(seeded.reaped)),
    }


def _image_by_command(
    context: dg.AssetExecutionContext,
    asked: Asked,
    contract: Contract,
    site: str,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
    seeder: "HetznerSeeder",
    progress: Step,
) -> dg.MaterializeResult[SeededAt]:
    """Have the operator's command seed, unless it did; then look at what it made, as a registration does."""
    known = known_of("hetzner_image", context, contract, store)
    if known is None:
        require_within_cap(context, asked.of(ImageSeedConfig), settings)
    image_ref = (
        known.ref if known else str(seeded_by(asked.handed_over, contract, "raw.xz", site, "image", store, progress))
    )
    claimed = ImageRegisterInputs(
        image_key=contract.record.key, image_ref=image_ref, image_version=contract.record.version
    )
    found = require_image(
        seeder.audit(image_ref), claimed, lab=settings.hetzner_site(site).lab, environment=settings.environment_id
    )
    progress.ended("adopted" if known else "created", 0)
    description = found.facts.description
    outputs = image_outputs(contract, image_ref=image_ref, name=description, description=description, seeded=not known)
    ref = StateRef(IMAGE_SEED, instance_of(site, default_site(settings.sites.hetzner)))
    return made_by_command(context, contract, site, image_ref, found.warnings, progress, states, ref, outputs)
