"""Group `contract`: the record, published once under immutable names, and the state that points at it.

What belongs here: the order in which things become public. The repository knows how to create an object; seeds
consume the contract.
"""

import dagster as dg

from hyops_assets.assets.publish_documents import commit, package_changes
from hyops_assets.assets.register_record import Registration, metadata_of, registered_contract
from hyops_assets.assets.run_config import RunOptions, fields_of
from hyops_assets.assets.run_tags import another_slot, module_run
from hyops_assets.assets.steps import record_version, step
from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract, SignedIso
from hyops_assets.contract.publishable import require_publishable
from hyops_assets.contract.record import FORMATS, Record, VariantFormat
from hyops_assets.contract.references import ARTIFACT_STATE, BUILD_STATE
from hyops_assets.contract.seeding import Outcome
from hyops_assets.contract.state import record_outputs
from hyops_assets.contract.steps import Step
from hyops_assets.contract.urls import published_name, require_contract_url
from hyops_assets.gate_results import passed_gates
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore, MissingArtifact
from resources.error_border import bordered
from resources.repository.base import ObjectRepository, Published
from resources.repository.revisions import conflicts_name_a_revision, is_published
from resources.states.current_record import built_version
from resources.states.store import StateStore

GROUP = "contract"
_CONTENT_TYPES = {"qcow2": "application/x-qemu-disk", "raw.xz": "application/x-xz"}


class PublishedBytesDiffer(Refused):
    """What can be read under a public URL is not what was published there."""


@dg.asset(
    partitions_def=VERSIONS,
    group_name=GROUP,
    kinds={"json", "pydantic"},
    code_version="1",
    io_manager_key="documents",
    config_schema=fields_of(Registration),
)
@bordered
def published_contract(
    context: dg.AssetExecutionContext,
    raw_xz_record: CandidateRecord | None,
    asked: dg.ResourceParam[RunOptions],
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
    states: dg.ResourceParam[StateStore],
) -> dg.MaterializeResult[Contract]:
    """The record under immutable public names, and the HyOps state that seeds resolve.

    Every gate of this version passed before the first byte leaves. Variants first; each is read back through its
    public URL without credentials; then the bill of materials and the evidence; `record.json` last, because it is
    the commit point; then the state `core/shared/vyos-image-build#vyos_default_build`, or the instance that the run
    was asked to write instead.

    A record that others published is registered instead, where one is named: read, verified, and taken in under its
    own URLs, as the state `core/shared/vyos-image-artifact`. Nothing of it is published again.
    """
    if asked.of(Registration).named:
        return _registered(context, asked, settings, store, states)
    if raw_xz_record is None:
        version = context.partition_key
        raise MissingArtifact(f"the record of {version} is not here", hint=f"run the job build_record for {version}")
    record = raw_xz_record.record
    _refuse_lab_outside_lab(record, settings)
    require_publishable(raw_xz_record.built.build)
    gates = passed_gates(store, raw_xz_record)
    with step(context, "published_contract") as progress, store.lock(f"publish {record.key} {record.version}"):
        committed = is_published(repository, record.key, record.record_version)
        with conflicts_name_a_revision(repository, record.key, record.record_version):
            objects = [_publish_variant(record, format_, store, repository, progress) for format_ in FORMATS]
            changes = package_changes(raw_xz_record.built, built_version(states), store)
            urls: dict[VariantFormat, str] = dict(zip(FORMATS, (one.url for one in objects), strict=True))
            contract = commit(context.run.run_id, raw_xz_record, gates, changes, urls, store, repository)
        slot = another_slot(context.run, BUILD_STATE) or BUILD_STATE
        iso = raw_xz_record.built.iso
        outputs = record_outputs(contract, source_iso_url=_address(iso.published()) if iso else "")
        changed = states.commit(slot, run_id=module_run(context.run), outputs=outputs)
        sent = sum(published.bytes_sent for published in objects)
        progress.ended(_outcome(objects, committed=committed), sent)
    return dg.MaterializeResult(
        value=contract,
        data_version=dg.DataVersion(contract.record_digest),
        metadata={
            "record_digest": contract.record_digest,
            "disk_sha256": record.disk.sha256,
            **{f"{format_} url": dg.MetadataValue.url(contract.urls[format_]) for format_ in FORMATS},
            "record document": dg.MetadataValue.url(contract.record_url),
            "evidence": dg.MetadataValue.url(contract.evidence_url),
            "bill of materials": dg.MetadataValue.url(contract.sbom_url),
            **({f"packages since {changes.former}": dg.MetadataValue.md(changes.markdown)} if changes else {}),
            "objects": {published.url: published.outcome for published in objects},
            "repository": settings.repository.place,
            "bytes_sent": sent,
            "state": dg.MetadataValue.path(states.path(slot)),
            "state_changed": changed,
            "outcome": progress.outcome,
        },
    )


def _address(iso: SignedIso) -> str:
    """Return where an ISO came from; empty where that was a file of some host."""
    return iso.source_url if "://" in iso.source_url else ""


def _outcome(objects: list[Published], *, committed: bool) -> Outcome:
    """Say what this run did: what it found complete it did not create, and what it completed it only resumed."""
    found = [published.outcome == "adopted" for published in objects]
    if committed and all(found):
        return "adopted"
    return "resumed" if committed or any(found) else "created"


def _registered(
    context: dg.AssetExecutionContext,
    asked: RunOptions,
    settings: Settings,
    store: ArtifactStore,
    states: StateStore,
) -> dg.MaterializeResult[Contract]:
    """Take in what others published; the read-back that follows may rely on what this run read."""
    version, config = record_version(context), asked.of(Registration)
    with step(context, "published_contract") as progress, store.lock(f"publish {config.record_key} {version}"):
        contract, found = registered_contract(version, config, settings, store, context.run.run_id, progress)
        slot = another_slot(context.run, ARTIFACT_STATE) or ARTIFACT_STATE
        source = asked.handed_over.source_iso_url or config.source_iso_url
        outputs = record_outputs(contract, source_iso_url=source)
        changed = states.commit(slot, run_id=module_run(context.run), outputs=outputs)
    return dg.MaterializeResult(
        value=contract,
        data_version=dg.DataVersion(contract.record_digest),
        metadata={
            "record_digest": contract.record_digest,
            "disk_sha256": contract.record.disk.sha256,
            **{f"{format_} url": dg.MetadataValue.url(url) for format_, url in contract.urls.items()},
            **metadata_of(contract, found),
            "state": dg.MetadataValue.path(states.path(slot)),
            "state_changed": changed,
            "outcome": progress.outcome,
        },
    )


def _refuse_lab_outside_lab(record: Record, settings: Settings) -> None:
    if record.lab and not settings.repository.lab:
        raise Refused(
            f"{record.version} was signed by a lab key; this object repository is not a lab's",
            hint="build from an ISO that VyOS signed",
        )


def _publish_variant(
    record: Record, format_: VariantFormat, store: ArtifactStore, repository: ObjectRepository, progress: Step
) -> Published:
    """Create one variant's object, or adopt an equal one, then read it back anonymously."""
    variant = record.variants[format_]
    published = repository.create(
        published_name(record.key, record.record_version, format_),
        store.blob(variant.sha256, progress=progress),
        sha256=variant.sha256,
        content_type=_CONTENT_TYPES[format_],
        metadata={"disk-sha256": record.disk.sha256, "record": record.digest},
    )
    require_contract_url(published.url, record.record_version)
    found, size = repository.read_anonymous(published.url, progress=progress)
    if (found, size) != (variant.sha256, variant.size_bytes):
        raise PublishedBytesDiffer(
            f"{published.url} answers {size} bytes ({found}), not {variant.size_bytes} ({variant.sha256})",
            hint="look at what serves this URL; the contract was not published",
        )
    return published
