"""Group `contract`: the record, published once under immutable names, and the state that points at it.

What belongs here: the order in which things become public. The repository knows how to create an object; seeds
consume the contract.
"""

import dagster as dg

from hyops_assets.assets.asked import another_slot, module_run
from hyops_assets.assets.committing import commit, former_version, package_changes
from hyops_assets.assets.steps import Step, step
from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.publishable import require_publishable
from hyops_assets.contract.record import FORMATS, Record, VariantFormat
from hyops_assets.contract.references import DEFAULT_BUILD_INSTANCE, IMAGE_BUILD, StateRef
from hyops_assets.contract.settings import Settings
from hyops_assets.contract.state import record_outputs
from hyops_assets.contract.urls import published_name, require_contract_url
from hyops_assets.gates import passed_gates
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
    public URL without credentials; then the bill of materials and the evidence; `record.json` last, because it is
    the commit point; then the state `core/shared/vyos-image-build#vyos_default_build`, or the instance that the run
    was asked to write instead.
    """
    record = raw_xz_record.record
    _refuse_lab_outside_lab(record, settings)
    require_publishable(raw_xz_record.built.build)
    gates = passed_gates(store, raw_xz_record)
    with step(context, "published_contract") as progress, store.lock(f"publish {record.key} {record.version}"):
        objects = [_publish_variant(record, format_, store, repository, progress) for format_ in FORMATS]
        changes = package_changes(raw_xz_record.built, former_version(states.find(BUILD_STATE)), store)
        urls: dict[VariantFormat, str] = dict(zip(FORMATS, (one.url for one in objects), strict=True))
        contract = commit(context.run.run_id, raw_xz_record, gates, changes, urls, store, repository)
        slot = another_slot(context.run, BUILD_STATE) or BUILD_STATE
        changed = states.commit(slot, run_id=module_run(context.run), outputs=record_outputs(contract))
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
            "bill of materials": dg.MetadataValue.url(contract.sbom_url),
            **({f"packages since {changes.former}": dg.MetadataValue.md(changes.markdown)} if changes else {}),
            "objects": {published.url: published.outcome for published in objects},
            "bytes_sent": sent,
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
