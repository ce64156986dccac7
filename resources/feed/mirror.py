"""Our own mirror: ISO and signature of each release that was taken in, and a feed of them, in a directory.

Upstream keeps thirty builds. A mirror that is a directory is filled at intake, after the signature was verified; one
that is a URL is somebody else's to fill. Its `version.json` lets a site without a way out work from it alone: carried
there, it is both `feed.urls` and `feed.mirror`.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from hyops_assets.contract.version import release_order
from hyops_assets.image.space import space_needed
from hyops_assets.settings.feed import FeedSettings
from resources.feed.download import local_path, mirrored_at
from resources.feed.parse import FeedMalformed, Release, is_upstreams, parse_feed
from resources.feed.partial_file import file_system_errors

FEED_NAME = "version.json"
MAX_ANNOUNCED = 500
"""Entries in the mirror's feed; what is older stays in the mirror, where it is found by its version."""

Kept = Literal["no mirror", "kept elsewhere", "not writable", "there already", "added"]


def ensure_mirrored(release: Release, iso: Path, minisig: str, settings: FeedSettings) -> Kept:
    """Have a verified ISO and its signature in the mirror, and the release in the mirror's feed.

    Can be killed anywhere: an ISO counts once its signature lies beside it.

    Args:
        release: whose ISO it is.
        iso: the file; it is copied.
        minisig: text of its signature file.
        settings: `feed` in `pipeline.yml`.

    Returns:
        What became of it: `kept elsewhere` for a mirror behind a URL, `not writable` for one that is not ours to fill.

    Raises:
        NoSpace: the mirror is full.
        DestinationFailed: it may not be written, although it looks so.
    """
    directory = local_path(settings.mirror) if settings.mirror else None
    if directory is None:
        return "kept elsewhere" if settings.mirror else "no mirror"
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return "not writable"
    place = Path(mirrored_at(str(directory), release.version))
    signature = place.with_name(f"{place.name}.minisig")
    with file_system_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        there = _holds(signature, minisig) and place.exists() and place.stat().st_size == iso.stat().st_size
        if not there:
            _copy(iso, place)
            _write(signature, minisig)
        _announce(directory / FEED_NAME, release, settings)
    return "there already" if there else "added"


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8", "replace") == text


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with space_needed(target.parent, source.stat().st_size):
            shutil.copyfile(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _announce(feed: Path, release: Release, settings: FeedSettings) -> None:
    """Name a release in the mirror's feed, with upstream's own URL; one without is found by its version alone."""
    if not is_upstreams(release.version, release.url, settings.hosts):
        return
    with FileLock(feed.with_name(f".{feed.name}.lock")):
        entries = {entry["version"]: entry for entry in _entries(feed, settings)}
        if release.version in entries:
            return
        stamp = {"timestamp": release.timestamp.isoformat()} if release.timestamp else {}
        entries[release.version] = {"url": release.url, "version": release.version, **stamp}
        newest = sorted(entries.values(), key=lambda entry: release_order(entry["version"]), reverse=True)
        _write(feed, json.dumps(newest[:MAX_ANNOUNCED], indent=2) + "\n")


def _entries(feed: Path, settings: FeedSettings) -> list[dict[str, Any]]:
    """Return the good entries of a mirror's feed; what is no feed is written anew."""
    try:
        read = parse_feed(feed.read_bytes(), hosts=settings.hosts)
    except (FileNotFoundError, FeedMalformed):
        return []
    return [
        {
            "url": release.url,
            "version": release.version,
            **({"timestamp": release.timestamp.isoformat()} if release.timestamp else {}),
        }
        for release in read.good
    ]
