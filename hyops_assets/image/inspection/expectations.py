"""What a disk is held against: a record, the evidence beside it, an ISO; and without any of them, the disk itself."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Evidence
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.record import Record
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.inspection.arrival import UNKNOWN_RELEASE, Arrived, release_on
from hyops_assets.image.inspection.view import Expected
from hyops_assets.image.intake.iso import OpenedIso, open_iso
from hyops_assets.image.shipped import canonical_helper


class NoRecord(Refused):
    """A document that is neither a record nor its evidence."""


class AnotherIso(Refused):
    """An ISO that is not the one that the record was built from."""


@dataclass(frozen=True)
class Promise:
    """A record, and what its evidence adds: facts of its build, the squashfs' digest among them."""

    record: Record
    build: dict[str, JsonValue]

    def fact(self, *keys: str) -> JsonValue:
        """Return what the evidence says under nested keys; None where it says nothing."""
        found: JsonValue = dict(self.build)
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found


def read_promise(content: bytes, name: str) -> Promise:
    """Read a `record.json`, or an evidence, which holds the record and more.

    Raises:
        NoRecord: it is neither.
    """
    try:
        evidence = Evidence.model_validate_json(content)
    except ValidationError:
        pass
    else:
        return Promise(evidence.record, evidence.build)
    try:
        return Promise(Record.model_validate_json(content), {})
    except ValidationError as error:
        found = wrong_values(error, "it", most=3)
        raise NoRecord(f"{name} is no record and no evidence: {found}", hint="give a published record.json") from error


def expected_of(
    arrived: Arrived,
    scratch: Path,
    *,
    promise: Promise | None = None,
    iso: Path | None = None,
    console: str | None = None,
    progress: Progress = silent,
) -> tuple[Expected, OpenedIso | None]:
    """Return what a disk must be, and the ISO taken apart where one was given.

    Without a record the release is read off the disk, and the helper must be that of this version.

    Args:
        arrived: the disk.
        scratch: takes the ISO's files, as long as the answer is used.
        promise: of its record.
        iso: what its squashfs is compared with. Its own sums are verified, its signature is not.
        console: what its menu must set, where no evidence says it.
        progress: called with the bytes of the ISO that were hashed.

    Raises:
        AnotherIso: the ISO is not the one that the record names.
        BadIso, WrongIso, UnknownLayout, BadVersion: it is no ISO of the disk's release.
    """
    record = promise.record if promise else None
    release = record.record_version.release if record else release_on(arrived.disk, scratch)
    # A disk without a release has no ISO to be compared with: what is wrong with it, the questions tell.
    opened = _opened(iso, record, release, scratch, progress) if iso and release != UNKNOWN_RELEASE else None
    squashfs = opened.squashfs_sha256 if opened else promise.fact("squashfs_sha256") if promise else None
    asked = promise.fact("recipe", "console") if promise else None
    speed = promise.fact("recipe", "console_speed") if promise else None
    variant = record.variants.get(arrived.format) if record and arrived.format != "raw" else None
    return Expected(
        release=release,
        squashfs_sha256=squashfs if isinstance(squashfs, str) else None,
        helper_sha256=record.helper_sha256 if record else sha256_of_file(canonical_helper()),
        console=asked if isinstance(asked, str) else console,
        console_speed=speed if isinstance(speed, int) else None,
        disk=record.disk if record else None,
        container_sha256=variant.sha256 if variant else None,
    ), opened


def _opened(iso: Path, record: Record | None, release: str, scratch: Path, progress: Progress) -> OpenedIso:
    if record and record.iso_sha256:
        found = sha256_of_file(iso, stage="hash ISO", progress=progress)
        if found != record.iso_sha256:
            raise AnotherIso(
                f"{iso.name} has sha256 {found}, the record was built from {record.iso_sha256}",
                hint="give the ISO that the record names",
            )
    return open_iso(iso, release=release, scratch=scratch, progress=progress)
