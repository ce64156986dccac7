"""Group `upstream`: what VyOS released, and the signed ISO as we took it in.

What belongs here: how a release is announced to the graph, and intake. Reading the feed is the feed resource's.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime

import dagster as dg
from pydantic import Field

from hyops_assets.assets.run_config import RunOptions, fields_of
from hyops_assets.assets.steps import record_version, step
from hyops_assets.contract.canonical import Frozen, digest_of
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.evidence import SignedIso
from hyops_assets.contract.run_config_types import PublicUrl
from hyops_assets.contract.steps import Step
from hyops_assets.contract.version import RecordVersion, iso_file_name
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.intake.signature import verify
from hyops_assets.seeds.partitions import VERSIONS, version_of
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered, said_of
from resources.feed.client import ReleaseFeed
from resources.feed.download import IsoUnavailable
from resources.feed.parse import Release, release_at

GROUP = "upstream"
ANNOUNCED_URL = "announced URL"
"""Where the feed had a release when it was taken up. Where it has it elsewhere later, that is an alarm."""

MOST_ANNOUNCEMENTS = 1000
"""Of a feed's releases, the last ones: so many are looked at."""

vyos_release = dg.AssetSpec(
    "vyos_release",
    group_name=GROUP,
    kinds={"vyos", "json"},
    partitions_def=VERSIONS,
    description=(
        "A release that VyOS announced in its feed. External: reported by the sensor `vyos_rolling_release`, or by "
        "whoever takes in an ISO by hand."
    ),
)


class GithubDiffers(HyopsError):
    """An ISO that a trusted key signed is another one than GitHub has for its release."""


class IsoOptions(Frozen):
    """Where an ISO is taken from, if not from the mirror or the feed. A path is handed over."""

    source_iso_url: PublicUrl = Field(
        default="",
        description="https URL of the ISO; its signature lies beside it as <name>.minisig. Upstream's own URL of the "
        "release lets the mirror come first",
    )


def release_event(release: Release, version: str, *, announced: bool = False) -> dg.AssetMaterialization:
    """Return the event that tells the graph of a release; `announced` where the feed's own entry was taken up."""
    return dg.AssetMaterialization(
        vyos_release.key,
        partition=version,
        tags={"dagster/data_version": digest_of(release)},
        metadata={
            "release": release.version,
            "url": dg.MetadataValue.url(release.url),
            "announced": release.timestamp.isoformat() if release.timestamp else "no time in the feed",
            **({ANNOUNCED_URL: release.url} if announced else {}),
        },
    )


def announced_url(event: dg.AssetMaterialization) -> str | None:
    """Return where the feed had a release when it was taken up; None where the event did not come from the feed."""
    url = event.metadata.get(ANNOUNCED_URL)
    return None if url is None else str(url.value)


def announced_urls(instance: dg.DagsterInstance, releases: Collection[str]) -> dict[str, str]:
    """Return where the feed had each of these releases when it was taken up."""
    if not releases:
        return {}
    wanted = dg.AssetRecordsFilter(asset_key=vyos_release.key, asset_partitions=sorted(releases))
    return announcements(instance, wanted, limit=MOST_ANNOUNCEMENTS)


def announcements(
    instance: dg.DagsterInstance, wanted: dg.AssetKey | dg.AssetRecordsFilter, *, limit: int
) -> dict[str, str]:
    """Return releases that the feed announced, with their URL, as the sensor reported them; the last one counts."""
    found: dict[str, str] = {}
    for record in instance.fetch_materializations(wanted, limit=limit).records:
        event = record.asset_materialization
        url = announced_url(event) if event else None
        if event is not None and event.partition and url is not None and version_of(event.partition):
            found.setdefault(event.partition, url)
    return found


@dg.asset(
    partitions_def=VERSIONS,
    deps=[vyos_release],
    group_name=GROUP,
    kinds={"vyos", "iso"},
    code_version="1",
    io_manager_key="documents",
    config_schema=fields_of(IsoOptions),
)
@bordered
def vyos_iso(
    context: dg.AssetExecutionContext,
    asked: dg.ResourceParam[RunOptions],
    settings: dg.ResourceParam[Settings],
    feed: dg.ResourceParam[ReleaseFeed],
    store: dg.ResourceParam[ArtifactStore],
) -> dg.MaterializeResult[SignedIso]:
    """The ISO, its minisign signature verified by a pinned key, in our own store.

    Upstream keeps only thirty builds; from here on a rebuild needs nothing of theirs.
    """
    version = record_version(context)
    source_iso_url = asked.handed_over.source_iso_url or asked.of(IsoOptions).source_iso_url
    with step(context, "vyos_iso") as progress, store.lock(f"vyos_iso {version.release}"):
        signed = _stored(version, source_iso_url, settings, feed, store, progress)
        if signed is None:
            release, signed = _take_in_from_its_place(
                context, version, source_iso_url, feed, settings, store, progress
            )
            _report_release(context, release)
        else:
            release = release_at(signed.release, signed.source_url)
        # After the store holds it: a mirror that is full is mended, and this run repeated.
        mirrored = feed.ensure_mirrored(release, store.blob_path(signed.sha256), signed.signature.minisig)
    return dg.MaterializeResult(
        value=signed,
        data_version=dg.DataVersion(signed.sha256),
        metadata={
            "release": signed.release,
            "sha256": signed.sha256,
            "size_bytes": signed.size_bytes,
            "signing_key": f"{signed.signature.key_name} ({signed.signature.key_id})",
            "signed_at": dg.MetadataValue.timestamp(signed.signature.signed_at),
            "trusted_comment": signed.signature.trusted_comment,
            "source": signed.source_url,
            "mirror": mirrored,
            "outcome": progress.outcome,
        },
    )


def _stored(
    version: RecordVersion,
    source_iso_url: str,
    settings: Settings,
    feed: ReleaseFeed,
    store: ArtifactStore,
    progress: Step,
) -> SignedIso | None:
    """Return the ISO we already hold if its signature still verifies; None where it must be taken in.

    One that came from another place than this run may ask is not the one that was named.

    Verified again each time: a key may have been withdrawn since.
    """
    held = store.find_document("iso", version.release, SignedIso)
    if held is None or not store.has_blob(held.sha256):
        return None
    if source_iso_url:
        named = feed.find(version.release, source_iso_url=source_iso_url)
        if held.source_url not in feed.places(named):
            return None
    signature = verify(
        store.blob_path(held.sha256),
        held.signature.minisig,
        settings.trusted_keys,
        file_name=held.file_name,
        most_bytes=settings.feed.max_iso_bytes,
        progress=progress,
    )
    progress.ended("adopted", held.size_bytes)
    return held.model_copy(update={"signature": signature})


def _take_in_from_its_place(
    context: dg.AssetExecutionContext,
    version: RecordVersion,
    source_iso_url: str,
    feed: ReleaseFeed,
    settings: Settings,
    store: ArtifactStore,
    progress: Step,
) -> tuple[Release, SignedIso]:
    """Take an ISO in from where its release was announced; where it is no longer there, from where the feed says."""
    announced = None if source_iso_url else _announced(_reported(context), version)
    if announced is not None:
        try:
            return announced, _take_in(announced, feed, settings, store, progress)
        except IsoUnavailable as error:
            context.log.warning("%s; the feed is asked where %s is now", said_of(error), version.release)
    release = feed.find(version.release, source_iso_url=source_iso_url)
    return release, _take_in(release, feed, settings, store, progress)


def _reported(context: dg.AssetExecutionContext) -> dg.AssetMaterialization | None:
    """Return what was reported last of the run's release; None where nothing was."""
    wanted = dg.AssetRecordsFilter(asset_key=vyos_release.key, asset_partitions=[context.partition_key])
    records = context.instance.fetch_materializations(wanted, limit=1).records
    return records[0].asset_materialization if records else None


def _announced(event: dg.AssetMaterialization | None, version: RecordVersion) -> Release | None:
    """Return the release as an event announces it; None where that did not come from the feed."""
    url = announced_url(event) if event else None
    if event is None or url is None:
        return None
    timestamp = None
    with suppress(ValueError):
        timestamp = datetime.fromisoformat(str(event.metadata["announced"].value))
    return release_at(version.release, url, timestamp=timestamp)


def _take_in(
    release: Release, feed: ReleaseFeed, settings: Settings, store: ArtifactStore, progress: Step
) -> SignedIso:
    downloaded = feed.fetch_iso(release, store.cache / "iso", progress=progress)
    try:
        signature = verify(
            downloaded.iso,
            downloaded.minisig,
            settings.trusted_keys,
            file_name=iso_file_name(release.version),
            released_at=release.timestamp,
            most_bytes=settings.feed.max_iso_bytes,
            progress=progress,
        )
        sha256 = sha256_of_file(downloaded.iso, stage="hash the ISO", progress=progress)
        _refuse_other_bytes(release, sha256, feed)
    except HyopsError:
        # What no trusted key signed must not be what a later attempt goes on from.
        downloaded.discard()
        raise
    signed = SignedIso(
        release=release.version,
        file_name=iso_file_name(release.version),
        size_bytes=downloaded.iso.stat().st_size,
        sha256=sha256,
        source_url=downloaded.source_url,
        signature=signature,
    )
    store.adopt(downloaded.iso, sha256=signed.sha256)
    store.write_document("iso", release.version, signed)
    progress.ended("taken in", signed.size_bytes)
    return signed


def _refuse_other_bytes(release: Release, sha256: str, feed: ReleaseFeed) -> None:
    """Refuse bytes that GitHub does not have for this release, although they are signed: which is it, then?"""
    known = feed.look_up(release).iso_sha256
    if known is not None and known != sha256:
        raise GithubDiffers(
            f"the ISO of {release.version} is signed and has sha256 {sha256}; GitHub has {known} for it",
            hint="look at the mirror and at the release on GitHub; name the right ISO with source_iso_url",
        )


def _report_release(context: dg.AssetExecutionContext, release: Release) -> None:
    """Report the release where no sensor did: an ISO taken in by hand has a release too."""
    if _reported(context) is None:
        context.log_event(release_event(release, context.partition_key))
