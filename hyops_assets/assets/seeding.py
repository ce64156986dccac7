"""What both seeds have in common: what is asked of a site, what is reported about it, and which state slot moves."""

from collections.abc import Callable

import dagster as dg

from hyops_assets.assets.asked import another_slot, module_run, record_state
from hyops_assets.assets.executing import is_live
from hyops_assets.assets.steps import Step
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.state import Outputs
from hyops_assets.partitions import site_of
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.states.current_record import current_digest, naming_state
from resources.states.store import StateStore

GROUP = "seeds"


def request_of(context: dg.AssetExecutionContext, contract: Contract, url: str, settings: Settings) -> SeedRequest:
    """Return what a site is asked for."""
    return SeedRequest(
        record=contract.record,
        url=url,
        run_id=context.run.run_id,
        site=site_of(context.partition_key),
        environment=settings.environment_id,
    )


def url_of(contract: Contract, format_: VariantFormat) -> str:
    """Return the published URL of a variant.

    Raises:
        Refused: the record was registered without it.
    """
    if format_ not in contract.urls:
        raise Refused(
            f"{contract.record.key} {contract.record.version} was registered without its {format_}",
            hint="register it again with both variants (record_variants), or build it here",
        )
    return contract.urls[format_]


def others_live(context: dg.AssetExecutionContext) -> Callable[[str], bool | None]:
    """Return what tells whether another run is still at work: what it put into a cloud is then not a leftover.

    It answers None for a run that this instance does not know: another host's, or one that was forgotten.
    """
    return lambda run_id: is_live(context.instance, run_id)


def known_of(
    asset: str, context: dg.AssetExecutionContext, contract: Contract, store: ArtifactStore
) -> SeededAt | None:
    """Return what an earlier run's command made of this very record at this site."""
    held = store.find_document(asset, context.partition_key, SeededAt)
    return held if held is not None and held.record_digest == contract.record_digest else None


def made_by_command(
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
    """Return the result of a seed that a command of the operator's made, and what was looked up of it."""
    return dg.MaterializeResult(
        value=seeded_at(contract, site, made),
        data_version=dg.DataVersion(contract.record.disk.sha256),
        metadata=lineage_of(contract, progress.outcome)
        | {
            "seeded by": "a command of the operator's: that it is there was looked up, its disk was not read back",
            "ref": made,
            "warnings": dg.MetadataValue.json(list(warnings)),
            **move_slot(states, ref, contract, context.run, outputs),
        },
    )


def maker_of(owner: Owner, said: str | None, request: SeedRequest) -> str | None:
    """Return the id of the environment that made something; None where that is not known.

    Args:
        owner: whose it is.
        said: the id that is written on it.
        request: what was asked for.
    """
    return request.environment if owner.ours else said if owner.whose == "another's" else None


def ownership_of(owner: Owner) -> str:
    """Return what an auditor sees of whose a template or an image is."""
    return owner.why if owner.ours else f"{owner.why}: it is used as it stands, and never changed or removed here"


def seeded_at(contract: Contract, site: str, ref: str, environment: str | None = None) -> SeededAt:
    """Return the document that a seed leaves: which record stands where, and which environment made it, if known."""
    return SeededAt(
        site=site,
        ref=ref,
        version=contract.record.version,
        record_digest=contract.record_digest,
        disk_sha256=contract.record.disk.sha256,
        environment=environment,
    )


def lineage_of(contract: Contract, outcome: str) -> dict[str, str | int | dg.MetadataValue]:
    """Return the metadata that an auditor asks of any seed."""
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


def instance_of(site: str, default: str | None) -> str | None:
    """Return the state instance of a site: the default site's state is `latest.json` (design, rule 5)."""
    return None if site == default else site


def moves_slot(states: StateStore, own: StateRef, contract: Contract, run: dg.DagsterRun) -> bool:
    """Whether a seed writes the site's own slot: it is of the record that the build slot names."""
    if another_slot(run, own) is not None:
        return False
    return current_digest(states, record_state(run)) == contract.record_digest


def move_slot(
    states: StateStore, own: StateRef, contract: Contract, run: dg.DagsterRun, outputs: Outputs
) -> dict[str, str | bool]:
    """Write the site's state slot if this is the record that the build slot names; seeding history moves none.

    A slot that the run was asked to write instead is written whatever the record: nobody else's meaning moves.
    """
    asked = another_slot(run, own)
    if asked is None and not moves_slot(states, own, contract, run):
        return {
            "state": f"{own} stays: {naming_state(states, record_state(run))} names another record",
            "state_changed": False,
        }
    ref = asked or own
    changed = states.commit(ref, run_id=module_run(run), outputs=outputs)
    return {"state": str(states.path(ref)), "state_changed": changed}
