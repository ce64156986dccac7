"""A record that somebody published: taken into the contract under its own URLs, after it was found to be one.

What belongs here: from URLs to a `Contract` of which nothing was built or published here. Every file is downloaded
once, hashed, decoded, and its disk looked into; a fault of a disk that others answer for is reported, and what it
claims to be must be true.
"""

from collections.abc import Mapping
from pathlib import Path

import dagster as dg
from pydantic import Field, ValidationError

from hyops_assets.contract.canonical import Frozen, Sha256, canonical_json
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import FORMATS, Disk, Record, Variant, VariantFormat
from hyops_assets.contract.run_config_types import OptionalDigest, OptionalKey, PublicUrl
from hyops_assets.contract.steps import Step
from hyops_assets.contract.urls import public_url, published_name, require_contract_url
from hyops_assets.contract.version import RecordVersion
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.adoption import adopt_disk
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.inspection.questions import Expected, inspect
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.own_records import refuse_own
from resources.artifacts.store import ArtifactStore
from resources.public_files import fetch_file, read_document
from resources.repository.anonymous import read_public

REGISTRATION = "registration"
"""The kind of document in the artifact store that says what a registered record was found to be."""


class NotThatRecord(Refused):
    """What is published is not the record that was claimed. Nothing was registered."""


class Registration(Frozen):
    """A record that is published already, if one is to be registered instead of published."""

    record_key: OptionalKey = Field(default="", description="key of the record")
    record_document_url: PublicUrl = Field(default="", description="https URL of its record.json")
    urls: dict[VariantFormat, PublicUrl] = Field(
        default={}, description="https URLs by format (qcow2, raw.xz), instead of that"
    )
    sha256: dict[VariantFormat, OptionalDigest] = Field(
        default={}, description="of these files, by format, as far as it is known"
    )
    source_iso_url: PublicUrl = Field(default="", description="what it was built from, as its builder says")

    @property
    def named(self) -> bool:
        """Whether a record is to be registered."""
        return bool(self.record_document_url or self.urls)


class RegisteredFile(Frozen):
    """One file of a registered record, as it was read without credentials."""

    url: str
    sha256: Sha256
    size_bytes: int


class Registered(Frozen):
    """What a registered record was found to be.

    Attributes:
        run_id: the run that read its files last.
        files: by format.
        disk: what each of them decodes to.
        computed: formats whose digest was not given.
        warnings: what the inspection of the disk found wrong, question by question.
    """

    run_id: str
    files: dict[VariantFormat, RegisteredFile]
    disk: Disk
    computed: list[VariantFormat]
    warnings: dict[str, str]


def registered_contract(
    version: RecordVersion,
    claimed: Registration,
    settings: Settings,
    store: ArtifactStore,
    run_id: str,
    progress: Step,
) -> tuple[Contract, Registered]:
    """Return the contract of a published record under its own URLs, and what was found out about it.

    Raises:
        PublishedHere: this environment published the version itself.
        NotThatRecord: a file has other bytes, another disk or another release than claimed, the document is no
            record, or this environment knows another disk under this version.
        BadUrl: a URL may not stand in a contract.
        NotAdopted, NotADisk, BadQcow2, BadRawXz: a file is no whole disk of this version.
        NotFound, Unreachable, TooManyBytes: a file is not to be had.
    """
    refuse_own(store, str(version))
    held = store.find_document("published_contract", str(version), Contract)
    document = _document(version, claimed, settings) if claimed.record_document_url else None
    urls = _urls(claimed, document)
    stated = _stated(claimed, document)
    for url in urls.values():
        require_contract_url(url, version)
    found = _seen_before(version, urls, stated, store, run_id, progress)
    if found is None:
        found = _examined(version, urls, stated, settings, store, run_id, progress)
        progress.ended("registered", sum(file.size_bytes for file in found.files.values()))
    record = document or _record(version, claimed, found, settings)
    _require_agreement(record, found, held)
    store.write_document(REGISTRATION, str(version), found)
    contract = Contract(
        record=record,
        record_digest=record.digest,
        record_url=claimed.record_document_url,
        evidence_url="",
        sbom_url="",
        urls=urls,
        signature=None,
        registered=True,
    )
    return contract, found


def _document(version: RecordVersion, claimed: Registration, settings: Settings) -> Record:
    url = claimed.record_document_url
    require_contract_url(url, version)
    content = read_document(url)
    try:
        record = Record.model_validate_json(content)
    except ValidationError as error:
        wrong = wrong_values(error, "the document")
        raise NotThatRecord(f"{url} is no record: {wrong}", hint="give the URL of a record.json") from error
    if canonical_json(record) + b"\n" != content:
        raise NotThatRecord(
            f"{url} is not the canonical text of its record", hint="have it published again by its builder"
        )
    if (record.version, record.key) != (str(version), claimed.record_key):
        raise NotThatRecord(
            f"{url} is the record {record.key} {record.version}, not {claimed.record_key} {version}",
            hint="correct record_key and record_version, or give that record's document",
        )
    if record.lab and not settings.lab:
        raise NotThatRecord(f"{url} is a lab's record; this environment is no lab", hint="register a real one")
    if not record.variants:
        raise NotThatRecord(f"{url} names no file", hint="give the URL of a record with its variants")
    return record


def _urls(claimed: Registration, document: Record | None) -> dict[VariantFormat, str]:
    """Return where the files are: beside the document, or where the claim says."""
    if document is not None:
        base = claimed.record_document_url.rpartition("/")[0]
        return {format_: public_url(base, variant.file_name) for format_, variant in document.variants.items()}
    return {format_: claimed.urls[format_] for format_ in FORMATS if format_ in claimed.urls}


def _stated(claimed: Registration, document: Record | None) -> dict[VariantFormat, str]:
    if document is not None:
        return {format_: variant.sha256 for format_, variant in document.variants.items()}
    return {format_: claimed.sha256[format_] for format_ in FORMATS if claimed.sha256.get(format_)}


def _seen_before(
    version: RecordVersion,
    urls: Mapping[VariantFormat, str],
    stated: Mapping[VariantFormat, str],
    store: ArtifactStore,
    run_id: str,
    progress: Step,
) -> Registered | None:
    """Return what an earlier run found of these files, if they still have the same bytes; it need not decode them."""
    held = store.find_document(REGISTRATION, str(version), Registered)
    if held is None or {format_: file.url for format_, file in held.files.items()} != urls:
        return None
    if any(stated.get(format_, file.sha256) != file.sha256 for format_, file in held.files.items()):
        return None
    for format_, file in held.files.items():
        found = read_public(file.url, progress=progress)
        if found != (file.sha256, file.size_bytes):
            raise NotThatRecord(
                f"{file.url} has other bytes than when it was registered: SHA-256 {found.sha256}, not {file.sha256}",
                hint=f"ask the publisher of this {format_}: a published name must never change",
            )
    progress.ended("adopted", sum(file.size_bytes for file in held.files.values()))
    computed = [format_ for format_ in held.files if format_ not in stated]
    return held.model_copy(update={"run_id": run_id, "computed": computed})


def _examined(
    version: RecordVersion,
    urls: Mapping[VariantFormat, str],
    stated: Mapping[VariantFormat, str],
    settings: Settings,
    store: ArtifactStore,
    run_id: str,
    progress: Step,
) -> Registered:
    """Download every file, and decode and compare their disks; look into the disk once."""
    files: dict[VariantFormat, RegisteredFile] = {}
    disks: dict[VariantFormat, Disk] = {}
    warnings: dict[str, str] = {}
    for format_, url in urls.items():
        with store.scratch("register") as scratch:
            file, disk = scratch / Path(url).name, scratch / "disk.raw"
            fetch_file(url, file, most_bytes=settings.feed.max_iso_bytes, progress=progress)
            arrived = adopt_disk(
                file,
                most_bytes=settings.build.most_adopted_bytes,
                version=version,
                destination=disk,
                scratch=scratch,
                sha256=stated.get(format_),
                progress=progress,
            )
            if arrived.format != format_:
                raise NotThatRecord(f"{url} is a {arrived.format}, not a {format_}", hint="name its format as it is")
            files[format_] = RegisteredFile(url=url, sha256=arrived.file_sha256, size_bytes=file.stat().st_size)
            disks[format_] = arrived.disk
            if len(disks) == 1:
                findings = inspect(disk, Expected(version.release), scratch, container=file, progress=progress)
                warnings = {one.name: one.detail for one in findings if one.outcome == "failed"}
    if len({disk.sha256 for disk in disks.values()}) != 1:
        text = ", ".join(f"{format_} {disk.sha256}" for format_, disk in disks.items())
        raise NotThatRecord(
            f"the variants of {version} hold different disks: {text}",
            hint="one record is one disk: register the variant that you need, or have both made from one disk",
        )
    computed: list[VariantFormat] = [format_ for format_ in files if format_ not in stated]
    disk = next(iter(disks.values()))
    return Registered(run_id=run_id, files=files, disk=disk, computed=computed, warnings=warnings)


def _record(version: RecordVersion, claimed: Registration, found: Registered, settings: Settings) -> Record:
    """Return the identity of a record that was named file by file: its source is not known, and said to be."""
    variants: dict[VariantFormat, Variant] = {
        format_: Variant(
            file_name=Path(published_name(claimed.record_key, version, format_)).name,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
        )
        for format_, file in found.files.items()
    }
    return Record(key=claimed.record_key, version=str(version), disk=found.disk, variants=variants, lab=settings.lab)


def _require_agreement(record: Record, found: Registered, held: Contract | None) -> None:
    if found.disk != record.disk:
        raise NotThatRecord(
            f"the files of {record.version} hold the disk {found.disk.sha256}, the record says {record.disk.sha256}",
            hint="ask its publisher; do not use these bytes",
        )
    sizes = {format_: variant.size_bytes for format_, variant in record.variants.items()}
    if sizes != {format_: file.size_bytes for format_, file in found.files.items()}:
        raise NotThatRecord(f"the record of {record.version} names other sizes", hint="ask its publisher")
    if held is not None and held.record.disk != record.disk:
        raise NotThatRecord(
            f"{record.version} is registered here with the disk {held.record.disk.sha256}, not {record.disk.sha256}",
            hint="a version holds one disk for ever: register this one under its own revision (-r2, …)",
        )


def metadata_of(contract: Contract, found: Registered) -> dict[str, dg.MetadataValue | str | list[str]]:
    """Return what the graph shows of a registered record besides what every contract shows."""
    return {
        "registered": "published elsewhere: nothing was built or published here",
        "read": dg.MetadataValue.json({file.url: file.sha256 for file in found.files.values()}),
        "sha256 not given, computed": ", ".join(found.computed) or "none",
        "warnings": dg.MetadataValue.json(
            [f"{name}: {detail}" for name, detail in found.warnings.items()]
            + [
                f"the SHA-256 of the {format_} was not given; computed: {found.files[format_].sha256}"
                for format_ in found.computed
            ]
        ),
    }


def read_in(run_id: str, contract: Contract, store: ArtifactStore) -> dict[str, tuple[str, int]] | None:
    """Return what this very run read of a registered record, by URL; None where another run read it."""
    found = store.find_document(REGISTRATION, contract.record.version, Registered)
    if found is None or found.run_id != run_id:
        return None
    read = {file.url: (file.sha256, file.size_bytes) for file in found.files.values()}
    if contract.record_url:
        # Compared byte for byte with its canonical text when it was read.
        content = canonical_json(contract.record) + b"\n"
        read[contract.record_url] = (sha256_of_bytes(content), len(content))
    return read
