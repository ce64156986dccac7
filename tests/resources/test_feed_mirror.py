"""Our own mirror: what intake keeps, and what a site without a way out finds in it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.version import iso_file_name
from hyops_assets.settings.feed import FeedSettings
from resources.feed.client import ReleaseFeed
from resources.feed.mirror import ensure_mirrored
from resources.feed.parse import Release, release_at

RELEASE = "2026.03.03-0027-rolling"
OLDER = "2026.03.02-0030-rolling"
GITHUB = "https://github.com/vyos/vyos-nightly-build/releases/download"
TIME = datetime(2026, 3, 3, 0, 27, 11, tzinfo=UTC)


def release(version: str = RELEASE) -> Release:
    return release_at(version, f"{GITHUB}/{version}/{iso_file_name(version)}", timestamp=TIME)


@pytest.fixture
def iso(tmp_path: Path) -> Path:
    path = tmp_path / "some.iso"
    path.write_bytes(b"iso" * 1000)
    return path


def air_gapped(mirror: Path) -> ReleaseFeed:
    return ReleaseFeed(FeedSettings(urls=[str(mirror / "version.json")], mirror=str(mirror), github_api=None))


def test_what_was_taken_in_is_found_and_fetched_from_the_mirror_alone(tmp_path: Path, iso: Path) -> None:
    mirror = tmp_path / "mirror"
    settings = FeedSettings(mirror=str(mirror))
    assert ensure_mirrored(release(), iso, "signature", settings) == "added"
    feed = air_gapped(mirror)
    polled = feed.poll()
    assert polled.feed is not None
    assert polled.feed.good == (release(),)
    assert feed.poll(polled.etag, polled.url).status == "unchanged"
    fetched = feed.fetch_iso(feed.find(RELEASE), tmp_path / "work")
    assert (fetched.iso.read_bytes(), fetched.minisig) == (iso.read_bytes(), "signature")
    assert fetched.source_url == str(mirror / RELEASE / iso_file_name(RELEASE))


def test_what_is_there_already_is_left_alone(tmp_path: Path, iso: Path) -> None:
    settings = FeedSettings(mirror=(tmp_path / "mirror").as_uri())
    ensure_mirrored(release(), iso, "signature", settings)
    mirrored = tmp_path / "mirror" / RELEASE / iso_file_name(RELEASE)
    before = mirrored.stat()
    assert ensure_mirrored(release(), iso, "signature", settings) == "there already"
    assert mirrored.stat() == before


def test_half_an_iso_of_other_hands_is_replaced(tmp_path: Path, iso: Path) -> None:
    settings = FeedSettings(mirror=str(tmp_path / "mirror"))
    mirrored = tmp_path / "mirror" / RELEASE / iso_file_name(RELEASE)
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"half")
    assert ensure_mirrored(release(), iso, "signature", settings) == "added"
    assert mirrored.read_bytes() == iso.read_bytes()


def test_the_mirror_s_feed_is_newest_first_whatever_was_taken_in_first(tmp_path: Path, iso: Path) -> None:
    settings = FeedSettings(mirror=str(tmp_path))
    older = release(OLDER).model_copy(update={"timestamp": None})
    for one in (release(), older, release()):
        ensure_mirrored(one, iso, "signature", settings)
    entries = json.loads((tmp_path / "version.json").read_bytes())
    assert [entry["version"] for entry in entries] == [RELEASE, OLDER]


def test_an_iso_of_no_upstream_url_is_kept_and_not_announced(tmp_path: Path, iso: Path) -> None:
    given = release_at(RELEASE, str(iso), given=True)
    assert ensure_mirrored(given, iso, "signature", FeedSettings(mirror=str(tmp_path))) == "added"
    assert not (tmp_path / "version.json").exists()
    assert air_gapped(tmp_path).find(RELEASE).url == str(tmp_path / RELEASE / iso_file_name(RELEASE))


@pytest.mark.parametrize(("mirror", "kept"), [(None, "no mirror"), ("https://mirror.example/vyos", "kept elsewhere")])
def test_a_mirror_that_is_no_directory_is_not_filled(iso: Path, mirror: str | None, kept: str) -> None:
    assert ensure_mirrored(release(), iso, "signature", FeedSettings(mirror=mirror)) == kept
