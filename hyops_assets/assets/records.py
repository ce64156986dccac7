"""Group `records`: one disk, built once, in both variants that are published.

What belongs here: from a signed ISO to a complete record in the artifact store. Gates stand in `checks/`; nothing
here is public yet.
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.assets.adopting import adopted_record, held_record
from hyops_assets.assets.run_config import RunOptions, fields_of
from hyops_assets.assets.smoke import smoke_verified
from hyops_assets.assets.steps import record_version, step
from hyops_assets.contract.build_options import BuildOptions
from hyops_assets.contract.documents import BuiltRecord, CandidateRecord
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.record import Record, Variant, VariantFormat
from hyops_assets.contract.run_config_types import Sentence
from hyops_assets.contract.steps import Step
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.build import BUILDER_VERSION, build_disk, method_inputs
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.overlay.lock import PackageLock, read_lock
from hyops_assets.image.recipe import Recipe
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore, MissingArtifact
from resources.error_border import bordered
from resources.repository.base import ObjectRepository
from resources.repository.revisions import refuse_rebuild

GROUP = "records"


class RebuildOptions(BuildOptions):
    """Whether a disk is built, built again, or taken over; and why a published release is built again."""

    rebuild_reason: Sentence = Field(
        default="", description="why a release is built again, as a revision (-r2, -r3 …): it stands in the evidence"
    )


@dg.asset(
    partitions_def=VERSIONS,
    group_name=GROUP,
    kinds={"qemu", "file"},
    code_version="1",
    io_manager_key="documents",
    config_schema=fields_of(RebuildOptions),
)
@bordered
def qcow2_record(
    context: dg.AssetExecutionContext,
    vyos_iso: SignedIso | None,
    asked: dg.ResourceParam[RunOptions],
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    repository: dg.ResourceParam[ObjectRepository],
) -> dg.MaterializeResult[BuiltRecord]:
    """The disk, built from the ISO without root, mounts or KVM, as a qcow2: the variant Proxmox takes.

    The squashfs stands on it byte for byte; cloud-init, the guest agent and the canonical helper stand in the
    overlay. The same ISO, package lock and helper give the same bytes anywhere. A disk that was built elsewhere can
    be taken over instead (`record_url`, `record_local_path`): the same gates decide about it.
    """
    version, parsed = context.partition_key, record_version(context)
    config, handed_over = asked.of(RebuildOptions), asked.handed_over
    if config.rebuild_if_exists:
        refuse_rebuild(repository, settings.build.key_of(parsed.release), parsed)
    with step(context, "qcow2_record") as progress, store.lock(f"qcow2_record {version}"):
        if config.record_url or handed_over.record_local_path:
            built = adopted_record(parsed, config, handed_over.record_local_path, settings, store, progress)
        else:
            built = _built_record(version, vyos_iso, settings, store, progress, again=config.rebuild_if_exists)
            if config.rebuild_reason:
                why = {"rebuild_reason": config.rebuild_reason}
                built = built.model_copy(update={"build": built.build | why})
        smoke = smoke_verified(handed_over, built, settings, store, progress)
    return dg.MaterializeResult(
        value=built,
        data_version=dg.DataVersion(built.qcow2.sha256),
        metadata={
            "disk_sha256": built.disk.sha256,
            "disk_bytes": built.disk.size_bytes,
            "sha256": built.qcow2.sha256,
            "size_bytes": built.qcow2.size_bytes,
            "iso_sha256": built.iso.sha256 if built.iso else "built elsewhere",
            "package_lock_sha256": built.lock_sha256 or "built elsewhere",
            "helper_sha256": built.helper_sha256 or "built elsewhere",
            "build": dg.MetadataValue.json(built.build),
            "smoke verify command": smoke,
            "outcome": progress.outcome,
        },
    )


@dg.asset(
    partitions_def=VERSIONS,
    group_name=GROUP,
    kinds={"xz", "file"},
    code_version="1",
    io_manager_key="documents",
    config_schema={},
)
@bordered
def raw_xz_record(
    context: dg.AssetExecutionContext,
    qcow2_record: BuiltRecord,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
) -> dg.MaterializeResult[CandidateRecord]:
    """The same disk as a raw.xz: the variant Hetzner's rescue system writes. With it the record is complete."""
    version = context.partition_key
    built = qcow2_record
    with step(context, "raw_xz_record") as progress, store.lock(f"raw_xz_record {version}"):
        candidate = store.find_document("raw_xz_record", version, CandidateRecord)
        if (
            candidate is not None
            and candidate.built == built
            and store.has_blob(candidate.record.variants["raw.xz"].sha256)
        ):
            progress.ended("adopted", candidate.record.variants["raw.xz"].size_bytes)
        else:
            raw_xz = _encode_raw_xz(built, settings, store, progress)
            candidate = CandidateRecord(record=_record(built, raw_xz, settings), built=built)
    record = candidate.record
    return dg.MaterializeResult(
        value=candidate,
        data_version=dg.DataVersion(record.variants["raw.xz"].sha256),
        metadata={
            "record_digest": record.digest,
            "disk_sha256": record.disk.sha256,
            "sha256": record.variants["raw.xz"].sha256,
            "size_bytes": record.variants["raw.xz"].size_bytes,
            "compression_ratio": record.disk.size_bytes / record.variants["raw.xz"].size_bytes,
            "outcome": progress.outcome,
        },
    )


def recipe_of(iso: SignedIso, settings: Settings, lock: PackageLock | None) -> Recipe:
    """Return everything that decides the bytes of this ISO's disk, but for what apt chooses."""
    return Recipe.of(
        settings.build,
        iso_sha256=iso.sha256,
        helper_sha256=sha256_of_file(canonical_helper()),
        builder=BUILDER_VERSION,
        method_inputs=method_inputs(settings.build),
        lock_sha256=lock.digest if lock else None,
    )


def _built_record(
    version: str, iso: SignedIso | None, settings: Settings, store: ArtifactStore, progress: Step, *, again: bool
) -> BuiltRecord:
    """Build the disk, or find the one that an earlier run built by the same recipe."""
    if iso is None:
        raise MissingArtifact(f"the ISO of {version} is not here", hint=f"materialize vyos_iso for {version} first")
    lock = read_lock(settings.build.package_lock) if settings.build.package_lock else None
    recipe = recipe_of(iso, settings, lock)
    held = None if again else held_record(store, version, recipe.digest)
    if held is not None:
        progress.ended("adopted", held.qcow2.size_bytes)
        return held
    return _build(version, iso, recipe, lock, settings, store, progress)


def _build(
    version: str,
    iso: SignedIso,
    recipe: Recipe,
    lock: PackageLock | None,
    settings: Settings,
    store: ArtifactStore,
    progress: Step,
) -> BuiltRecord:
    with store.scratch("build") as scratch:
        disk_file = scratch / "disk.raw"
        built = build_disk(
            store.blob(iso.sha256, progress=progress),
            release=iso.release,
            settings=settings.build,
            helper=canonical_helper(),
            lock=lock,
            cache=store.cache / "packages",
            destination=disk_file,
            scratch=scratch,
            progress=progress,
            version=version,
            source_iso_url=iso.source_url,
        )
        encoded = qcow2.encode(disk_file, scratch / "disk.qcow2", progress=progress)
        store.adopt(scratch / "disk.qcow2", sha256=encoded.sha256)
        status = store.put(built.dpkg_status)
    progress.ended("built", encoded.size_bytes)
    return BuiltRecord(
        version=version,
        iso=iso,
        disk=encoded.disk,
        qcow2=_variant(version, "qcow2", encoded, settings),
        lock_sha256=built.lock.digest,
        helper_sha256=built.helper_sha256,
        squashfs_sha256=built.squashfs_sha256,
        dpkg_status_sha256=status,
        epoch=built.epoch,
        recipe_digest=recipe.digest,
        build={
            **built.facts,
            "recipe": recipe.model_dump(mode="json"),
            "package_lock": built.lock.model_dump(mode="json", by_alias=True),
        },
    )


def _encode_raw_xz(built: BuiltRecord, settings: Settings, store: ArtifactStore, progress: Step) -> Variant:
    with store.scratch("rawxz") as scratch:
        source = store.blob(built.qcow2.sha256, progress=progress)
        encoded = rawxz.encode(source, scratch / "disk.raw.xz", disk_format="qcow2", progress=progress)
        if encoded.disk != built.disk:
            raise rawxz.VariantDiffers(found=encoded.disk, expected=built.disk)
        store.adopt(scratch / "disk.raw.xz", sha256=encoded.sha256)
    progress.ended("encoded", encoded.size_bytes)
    return _variant(built.version, "raw.xz", encoded, settings)


def _variant(
    version: str, format_: VariantFormat, encoded: rawxz.Encoded | qcow2.Encoded, settings: Settings
) -> Variant:
    parsed = RecordVersion.parse(version)
    name = published_name(settings.build.key_of(parsed.release), parsed, format_)
    return Variant(file_name=Path(name).name, size_bytes=encoded.size_bytes, sha256=encoded.sha256)


def _record(built: BuiltRecord, raw_xz: Variant, settings: Settings) -> Record:
    return Record(
        key=settings.build.key_of(built.release),
        version=built.version,
        disk=built.disk,
        variants={"qcow2": built.qcow2, "raw.xz": raw_xz},
        iso_sha256=built.iso.sha256 if built.iso else None,
        overlay_lock_sha256=built.lock_sha256,
        helper_sha256=built.helper_sha256,
        lab=built.iso.signature.lab if built.iso else settings.lab,
    )
