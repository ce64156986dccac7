"""Group `contract`: the record, published once under immutable names, and the state that points at it.

What belongs here: the order in which things become public. The repository knows how to create an object; seeds
consume the contract.
"""

from datetime import UTC, datetime

import dagster as dg

from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract, Evidence, GateResult
from hyops_assets.contract.record import FORMATS, Record, VariantFormat
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, StateRef
from hyops_assets.contract.settings import Settings
from hyops_assets.contract.state import record_outputs
from hyops_assets.contract.urls import PREFIX, published_name, require_contract_url
from hyops_assets.gates import passed_gates
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.partitions import VERSIONS
from resources.artifacts.store import ArtifactStore
from resources.repository.base import ObjectRepository, Published
from resources.states.store import StateStore

GROUP = "contract"
BUILD_STATE = StateRef(IMAGE_BUILD, DEFAULT_BUILD_INSTANCE)
_CONTENT_TYPES = {"qcow2": "application/x-qemu-disk", "raw.xz": "application/x-xz"}


class PublishedBytesDiffer(Refused):
    """What can be read under a public URL is not what was published there."""


@dg.asset(
    partitions_def=VERSIONS, group_name=GROUP, kinds={"json", "pydantic"}, code_version="1", io_manager_key="documents"
)
def published_contract(
    context: dg.AssetExecutionContext,
    raw_xz_record: CandidateRecord,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
    states: dg.ResourceParam[StateStore],
) -> dg.MaterializeResult[Contract]:
    """The record under immutable public names, and the HyOps state that seeds resolve.

    Every gate of this version passed before the first byte leaves. Variants first; each is read back through its
    public URL without credentials; then the evidence; `record.json` last, because it is the commit point; then the
    state `core/shared/vyos-image-build#vyos_default_build`.
    """
    record = raw_xz_record.record
    _refuse_lab_outside_lab(record, settings)
    gates = passed_gates(store, raw_xz_record)
    with step(context, "published_contract") as progress, store.lock(f"publish {record.key} {record.version}"):
        objects = [_publish_variant(record, format_, store, repository, progress) for format_ in FORMATS]
        contract = _commit(context.run.run_id, raw_xz_record, gates, objects, store, repository)
        changed = states.commit(BUILD_STATE, run_id=context.run.run_id, outputs=record_outputs(contract))
        sent = sum(published.bytes_sent for published in objects)
        progress.ended("published" if sent else "adopted", sent)
    return dg.MaterializeResult(
        value=contract,
        data_version=dg.DataVersion(contract.record_digest),
        metadata={
            "record_digest": contract.record_digest,
            "disk_sha256": record.disk.sha256,
            **{f"{format_} url": dg.MetadataValue.url(contract.urls[format_]) for format_ in FORMATS},
            "record document": dg.MetadataValue.url(contract.record_url),
            "evidence": dg.MetadataValue.url(contract.evidence_url),
            "objects": {published.url: published.outcome for published in objects},
            "bytes_sent": sent,
            "state": dg.MetadataValue.path(states.path(BUILD_STATE)),
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
    """Create one variant's object, or adopt an equal one, then read it back as a stranger would."""
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


def _commit(
    run_id: str,
    candidate: CandidateRecord,
    gates: list[GateResult],
    objects: list[Published],
    store: ArtifactStore,
    repository: ObjectRepository,
) -> Contract:
    """Publish the evidence of this run and then the record; adopt both where the record is already committed."""
    record = candidate.record
    version = record.record_version
    evidence_url = _held_evidence(record, store, repository)
    if evidence_url is None:
        evidence = Evidence(
            record=record,
            record_digest=record.digest,
            run_id=run_id,
            recorded_at=datetime.now(UTC),
            iso=candidate.built.iso,
            build=candidate.built.build,
            gates=gates,
        )
        text = evidence.model_dump_json(by_alias=True, indent=2).encode()
        evidence_url = _create_document(
            repository, published_name(record.key, version, f"evidence-{run_id}.json"), text
        )
    record_url = _create_document(
        repository, published_name(record.key, version, "record.json"), canonical_json(record) + b"\n"
    )
    return Contract(
        record=record,
        record_digest=record.digest,
        record_url=record_url,
        evidence_url=evidence_url,
        urls=dict(zip(FORMATS, (published.url for published in objects), strict=True)),
        signature=candidate.built.iso.signature,
    )


def _held_evidence(record: Record, store: ArtifactStore, repository: ObjectRepository) -> str | None:
    """Return the URL of the evidence that an earlier run published for this record, if it is still there."""
    held = store.find_document("published_contract", record.version, Contract)
    if held is None or held.record_digest != record.digest:
        return None
    name = f"{PREFIX}/{held.evidence_url.rsplit('/', 1)[-1]}"
    return held.evidence_url if repository.head(name) is not None else None


def _create_document(repository: ObjectRepository, name: str, content: bytes) -> str:
    published = repository.create(
        name, content, sha256=sha256_of_bytes(content), content_type="application/json", metadata={}
    )
    return published.url
