"""A record of a disk that was built elsewhere: taken over as it is, judged by the same gates.

What belongs here: from a path or URL to a `BuiltRecord` without ISO and build. Checking the disk is the image
floor's (`adoption.py`).
"""

import shutil
from pathlib import Path

from hyops_assets.contract.build_options import BuildOptions
from hyops_assets.contract.canonical import digest_of
from hyops_assets.contract.documents import BuiltRecord
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.record import Variant
from hyops_assets.contract.steps import Step
from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.adoption import AdoptedDisk, adopt_disk, require_adoptable, require_adoptable_size
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.questions import Expected, viewed
from hyops_assets.image.intake.iso import squashfs_epoch
from hyops_assets.image.overlay.dpkg_status import STATUS
from hyops_assets.image.variants import qcow2
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.public_files import fetch_file


def adopted_record(
    version: RecordVersion,
    elsewhere: BuildOptions,
    local_path: str,
    settings: Settings,
    store: ArtifactStore,
    progress: Step,
) -> BuiltRecord:
    """Take over the disk, or find the record that an earlier run made of it.

    Args:
        version: of the record.
        elsewhere: where the disk is, if it has a URL.
        local_path: of the disk, if it is on this host.
        settings: of the environment.
        store: where the record is kept.
        progress: of the step.

    Raises:
        Refused: both a URL and a path are named.
        NotAdopted, BadUrl: it is not the disk that was named, or not named well enough.
        NotADisk: it is larger than what is taken over.
        what decoding and fetching raise.
    """
    if elsewhere.record_url and local_path:
        raise Refused("record_url and record_local_path are both set", hint="set the one that holds the disk")
    if elsewhere.record_url:
        require_adoptable(elsewhere.record_url, elsewhere.record_sha256, version)
    with store.scratch("adopt") as scratch:
        file = _fetched(elsewhere, local_path, settings, scratch, progress)
        require_adoptable_size(file, settings.build.most_adopted_bytes)
        found = sha256_of_file(file, stage="hash record", progress=progress)
        recipe = digest_of({"adopted": found})
        held = held_record(store, str(version), recipe)
        if held is not None and elsewhere.record_sha256.lower() in ("", found):
            progress.ended("adopted", held.qcow2.size_bytes)
            return held
        disk = scratch / "disk.raw"
        adopted = adopt_disk(
            file,
            most_bytes=settings.build.most_adopted_bytes,
            version=version,
            destination=disk,
            scratch=scratch,
            sha256=elsewhere.record_sha256 or None,
            url=elsewhere.record_url or None,
            progress=progress,
        )
        with viewed(disk, Expected(version.release), scratch) as view:
            status, epoch = view.guest.read(STATUS), squashfs_epoch(view.squashfs.path)
        built = BuiltRecord(
            version=str(version),
            disk=adopted.disk,
            qcow2=_qcow2(version, file, adopted, disk, settings, store, progress),
            dpkg_status_sha256=store.put(status),
            epoch=epoch,
            recipe_digest=recipe,
            build=adopted.facts,
        )
    progress.ended("taken over", built.qcow2.size_bytes)
    return built


def held_record(store: ArtifactStore, version: str, recipe_digest: str) -> BuiltRecord | None:
    """Return the record that an earlier run made by a recipe, where all of it is still in the store."""
    held = store.find_document("qcow2_record", version, BuiltRecord)
    if held is None or held.recipe_digest != recipe_digest:
        return None
    return held if store.has_blob(held.qcow2.sha256) and store.has_blob(held.dpkg_status_sha256) else None


def _fetched(elsewhere: BuildOptions, local_path: str, settings: Settings, scratch: Path, progress: Step) -> Path:
    if local_path:
        return Path(local_path).expanduser()
    file = scratch / Path(elsewhere.record_url).name
    fetch_file(elsewhere.record_url, file, most_bytes=settings.feed.max_iso_bytes, progress=progress)
    return file


def _qcow2(
    version: RecordVersion,
    file: Path,
    adopted: AdoptedDisk,
    disk: Path,
    settings: Settings,
    store: ArtifactStore,
    progress: Step,
) -> Variant:
    """Return the qcow2: the very file that was named where it is one, so that what is published already stays that."""
    name = Path(published_name(settings.build.key_of(version.release), version, "qcow2")).name
    packed = disk.with_name("disk.qcow2")
    if adopted.format == "qcow2":
        shutil.copyfile(file, packed)
        size, sha256 = packed.stat().st_size, adopted.file_sha256
    else:
        encoded = qcow2.encode(disk, packed, progress=progress)
        size, sha256 = encoded.size_bytes, encoded.sha256
    store.adopt(packed, sha256=sha256)
    return Variant(file_name=name, size_bytes=size, sha256=sha256)
