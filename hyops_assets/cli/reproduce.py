"""`hyops reproduce`: build a published record again from its ISO, and compare every byte.

Needs the record's evidence, which is public and holds the recipe and the package lock, and the ISO. What was built
is thrown away; the answer is what stays.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hyops_assets.cli.environment import Place
from hyops_assets.cli.prepare import reach_environment
from hyops_assets.cli.progress import shown
from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.evidence import Evidence, SignedIso
from hyops_assets.contract.record import VariantFormat
from hyops_assets.contract.steps import timed
from hyops_assets.contract.wrong_values import wrong_values
from hyops_assets.image.build import BUILDER_VERSION, BuiltDisk, build_disk
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.intake.signature import verify
from hyops_assets.image.overlay.lock import PackageLock
from hyops_assets.image.recipe import Recipe
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.image.variants.encoded import Encoded
from hyops_assets.settings.build import BuildSettings
from resources.artifacts.store import ArtifactStore
from resources.public_files import read_document
from resources.settings import load_settings


class NotReproducible(Refused):
    """This record cannot be built again here: the evidence, the ISO or this version of hyops is another."""


class Differs(HyopsError):
    """The record was built again and is another."""


@dataclass(frozen=True)
class Compared:
    """One part of the record: what was published, and what was built here."""

    what: str
    published: str
    built: str


def reproduce(place: Place, evidence: str, iso: Path | None) -> None:
    """Build a record again and say whether it is the same, byte for byte.

    Args:
        place: whose settings tell trusted keys and apt sources, and whose store may hold the ISO.
        evidence: path or https URL of the record's evidence.
        iso: the ISO; the store's, if it holds it, where None.

    Raises:
        NotReproducible: something that decides the bytes is not what the evidence names.
        Differs: everything was the same but the result; the message names the differing parts and programs.
    """
    settings = load_settings(place.root)
    reach_environment(place, settings)
    claimed = _read_evidence(evidence)
    recipe, lock = _recipe_and_lock(claimed)
    store = ArtifactStore(place.root.artifacts)
    signed = _require_iso(claimed)
    source = iso or store.blob_path(signed.sha256)
    if not source.is_file():
        raise NotReproducible(f"the ISO {signed.file_name} is not here", hint="give it with --iso")
    _require_equal("ISO", sha256_of_file(source), recipe.iso_sha256, "give the ISO that the evidence names")
    verify(
        source,
        signed.signature.minisig,
        settings.trusted_keys,
        file_name=signed.file_name,
        most_bytes=settings.feed.max_iso_bytes,
    )
    place.console.print(f"iso      {signed.file_name}: signed by {signed.signature.key_name}")
    with shown(place.console), store.scratch("reproduce") as own:
        built, encoded = _build(source, claimed, recipe.settings(settings.build), lock, store.cache, own)
    compared = list(_compared(claimed, encoded))
    for part in compared:
        verdict = "identical" if part.built == part.published else f"DIFFERS from the published {part.published}"
        place.console.print(f"{part.what:<8} {part.built} {verdict}")
    wrong = [part.what for part in compared if part.built != part.published]
    if wrong:
        other = _other_tools(claimed, built)
        raise Differs(
            f"{claimed.record.version} built here is another record: {', '.join(wrong)} differ{other}",
            hint="use the host programs that the evidence names (build.tools); if they are the same, report it",
        )
    place.console.print(f"record   {claimed.record_digest} identical: {claimed.record.key} {claimed.record.version}")


def _read_evidence(where: str) -> Evidence:
    try:
        return Evidence.model_validate_json(read_document(where))
    except ValidationError as error:
        raise NotReproducible(
            f"{where} is no evidence of this version: {wrong_values(error, 'it', most=1)}",
            hint="give the evidence_url of the record's contract",
        ) from error


def _recipe_and_lock(claimed: Evidence) -> tuple[Recipe, PackageLock]:
    try:
        recipe = Recipe.model_validate(claimed.build["recipe"])
        lock = PackageLock.model_validate(claimed.build["package_lock"])
    except (KeyError, ValidationError) as error:
        raise NotReproducible(
            f"the evidence of {claimed.record.version} holds no recipe",
            hint="only a record that was built from an ISO can be built again",
        ) from error
    _require_equal("record", claimed.record.digest, claimed.record_digest, "this evidence was changed: get it again")
    _require_equal("package lock", lock.digest, claimed.record.overlay_lock_sha256, "this evidence was changed")
    other = "install the version of hyops that built this record"
    _require_equal("helper", sha256_of_file(canonical_helper()), recipe.helper_sha256, other)
    _require_equal("builder", BUILDER_VERSION, recipe.builder, other)
    if recipe.method != "native":
        raise NotReproducible(
            f"the build method {recipe.method} gives other bytes each time", hint="only native builds are reproducible"
        )
    return recipe, lock


def _require_iso(claimed: Evidence) -> SignedIso:
    if claimed.iso is None:
        raise NotReproducible("the record was built elsewhere and only registered", hint="ask those who built it")
    return claimed.iso


def _require_equal(what: str, found: str, expected: str | None, hint: str) -> None:
    if found != expected:
        raise NotReproducible(f"the {what} here is {found}, the evidence names {expected}", hint=hint)


def _build(
    iso: Path, claimed: Evidence, settings: BuildSettings, lock: PackageLock, cache: Path, scratch: Path
) -> tuple[BuiltDisk, Mapping[VariantFormat, Encoded]]:
    disk = scratch / "disk.raw"
    with timed("build") as progress:
        built = build_disk(
            iso,
            release=claimed.record.record_version.release,
            settings=settings,
            helper=canonical_helper(),
            lock=lock,
            cache=cache / "packages",
            destination=disk,
            scratch=scratch,
            progress=progress,
            version=claimed.record.version,
        )
        progress.ended("built", disk.stat().st_size)
    with timed("encode") as progress:
        encoded: dict[VariantFormat, Encoded] = {
            "qcow2": qcow2.encode(disk, scratch / "disk.qcow2", progress=progress),
            "raw.xz": rawxz.encode(disk, scratch / "disk.raw.xz", progress=progress),
        }
        progress.ended("encoded", sum(variant.size_bytes for variant in encoded.values()))
    return built, encoded


def _compared(claimed: Evidence, encoded: Mapping[VariantFormat, Encoded]) -> Iterator[Compared]:
    yield Compared("disk", claimed.record.disk.sha256, encoded["qcow2"].disk.sha256)
    for format_, variant in encoded.items():
        yield Compared(format_, claimed.record.variants[format_].sha256, variant.sha256)


def _other_tools(claimed: Evidence, built: BuiltDisk) -> str:
    """Name the host programs whose versions differ from those of the published build."""
    theirs, ours = claimed.build.get("tools"), built.facts["tools"]
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return ""
    other = [
        f"{name} {ours[name]} (published with {theirs.get(name)})" for name in ours if ours[name] != theirs.get(name)
    ]
    return f"; other programs: {', '.join(other)}" if other else ""
