"""The documents beside a record's variants: bill of materials, evidence, and `record.json`, which commits it.

What belongs here: what stands in them and in which order they are created. The variants are published before.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.documents import BuiltRecord, CandidateRecord
from hyops_assets.contract.evidence import Contract, Evidence, GateResult, PackageChanges
from hyops_assets.contract.record import Record, VariantFormat
from hyops_assets.contract.urls import PREFIX, published_name
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.dpkg import installed, package_diff
from resources.artifacts.store import ArtifactStore
from resources.repository.base import ObjectRepository


def commit(
    run_id: str,
    candidate: CandidateRecord,
    gates: list[GateResult],
    changes: PackageChanges | None,
    urls: Mapping[VariantFormat, str],
    store: ArtifactStore,
    repository: ObjectRepository,
) -> Contract:
    """Publish this run's bill of materials and evidence and then the record; adopt all where it is committed.

    Args:
        run_id: names the two documents that belong to a run.
        candidate: the record, and how it was built.
        gates: every gate's pass for its bytes.
        changes: how its packages differ from the former record's.
        urls: where its variants were published and read back.
        store: holds the disk's dpkg status, and the contract of an earlier run.
        repository: where the documents are created.
    """
    record = candidate.record
    held = _held(record, store, repository)
    if held is None:
        sbom_url = _create(record, f"sbom-{run_id}.cdx.json", _bill(candidate, store), repository)
        evidence = Evidence(
            record=record,
            record_digest=record.digest,
            run_id=run_id,
            recorded_at=datetime.now(UTC),
            iso=candidate.built.iso.published() if candidate.built.iso else None,
            build=candidate.built.build,
            gates=gates,
            sbom_url=sbom_url,
            package_changes=changes,
        )
        text = evidence.model_dump_json(by_alias=True, indent=2).encode()
        evidence_url = _create(record, f"evidence-{run_id}.json", text, repository)
    else:
        sbom_url, evidence_url = held.sbom_url, held.evidence_url
    return Contract(
        record=record,
        record_digest=record.digest,
        record_url=_create(record, "record.json", canonical_json(record) + b"\n", repository),
        evidence_url=evidence_url,
        sbom_url=sbom_url,
        urls=dict(urls),
        signature=candidate.built.iso.signature if candidate.built.iso else None,
    )


def package_changes(built: BuiltRecord, former: str | None, store: ArtifactStore) -> PackageChanges | None:
    """Return how the packages of a disk differ from those of a former record's.

    None where there is no other record, or where this store does not hold its dpkg status.
    """
    before = store.find_document("qcow2_record", former, BuiltRecord) if former else None
    if before is None or before.version == built.version or not store.has_blob(before.dpkg_status_sha256):
        return None
    ours, theirs = (store.blob(of.dpkg_status_sha256).read_bytes() for of in (built, before))
    diff = package_diff(installed(theirs), installed(ours))
    return PackageChanges(
        former=before.version, added=dict(diff.added), removed=dict(diff.removed), changed=dict(diff.changed)
    )


def _bill(candidate: CandidateRecord, store: ArtifactStore) -> bytes:
    # Here, as it loads CycloneDX: a quarter of a second that every start of the graph would pay.
    from hyops_assets.image.sbom import Subject, sbom

    built = candidate.built
    subject = Subject(
        record_key=candidate.record.key,
        record_version=built.version,
        release=built.release,
        disk_sha256=built.disk.sha256,
        iso_sha256=built.iso.sha256 if built.iso else None,
        iso_name=built.iso.file_name if built.iso else None,
        epoch=built.epoch,
    )
    return sbom(store.blob(built.dpkg_status_sha256).read_bytes(), subject)


def _held(record: Record, store: ArtifactStore, repository: ObjectRepository) -> Contract | None:
    """Return the contract that an earlier run committed for this record, if its documents are still there."""
    held = store.find_document("published_contract", record.version, Contract)
    if held is None or held.registered or held.record_digest != record.digest:
        return None
    names = [f"{PREFIX}/{Path(url).name}" for url in (held.evidence_url, held.sbom_url)]
    return held if all(repository.head(name) is not None for name in names) else None


def _create(record: Record, suffix: str, content: bytes, repository: ObjectRepository) -> str:
    name = published_name(record.key, record.record_version, suffix)
    digest = sha256_of_bytes(content)
    return repository.create(name, content, sha256=digest, content_type="application/json", metadata={}).url
