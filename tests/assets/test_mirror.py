"""Intake and our own mirror: it is filled from upstream, and serves alone where there is no way out."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.assets.upstream import release_event, vyos_iso
from hyops_assets.contract.version import iso_file_name
from hyops_assets.definitions import build_definitions
from hyops_assets.settings.feed import FeedSettings
from hyops_lab.feed import FEED_NAME
from resources.feed.parse import release_at
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.ground import own_copy


def take_in(home: LabEnvironment, feed: FeedSettings) -> dg.ExecuteInProcessResult:
    home.configure(feed=feed)
    definitions = build_definitions(home.root, home.settings.model_copy(update={"feed": feed}))
    job = definitions.resolve_job_def("build_record").get_subset(asset_selection={vyos_iso.key})
    home.instance.add_dynamic_partitions("vyos_record_version", [RELEASE])
    return job.execute_in_process(instance=home.instance, partition_key=RELEASE, raise_on_error=False)


def said(result: dg.ExecuteInProcessResult) -> Mapping[str, object]:
    *_, event = result.asset_materializations_for_node("vyos_iso")
    return {name: value.value for name, value in event.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return (error.cause or error).message


@pytest.fixture
def upstream(home: LabEnvironment, tmp_path: Path) -> FeedSettings:
    """The lab's feed as upstream, and a mirror of our own."""
    return home.settings.feed.model_copy(update={"mirror": str(tmp_path / "mirror")})


def test_intake_fills_the_mirror_and_an_air_gapped_site_works_from_it_alone(
    home: LabEnvironment, upstream: FeedSettings, tmp_path: Path
) -> None:
    first = said(take_in(home, upstream))
    assert (first["outcome"], first["mirror"]) == ("taken in", "added")
    again = said(take_in(home, upstream))
    assert (again["outcome"], again["mirror"]) == ("adopted", "there already")

    mirror = tmp_path / "carried"
    shutil.move(tmp_path / "mirror", mirror)
    shutil.rmtree(home.root.artifacts)
    asked = len(home.lab.files.trace().requests())
    air_gapped = upstream.model_copy(
        update={"urls": [str(mirror / "version.json")], "mirror": str(mirror), "github_api": None}
    )
    alone = said(take_in(home, air_gapped))
    assert (alone["outcome"], alone["sha256"]) == ("taken in", first["sha256"])
    assert alone["source"] == str(mirror / RELEASE / iso_file_name(RELEASE))
    assert len(home.lab.files.trace().requests()) == asked


def test_a_signed_iso_that_github_has_other_bytes_for_is_refused_and_not_kept(
    home: LabEnvironment, upstream: FeedSettings, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror" / RELEASE
    shutil.copytree(home.lab.files.feed / RELEASE, mirror)
    with own_copy(home.lab.files.feed / RELEASE / iso_file_name(RELEASE)).open("ab") as theirs:
        theirs.write(b"other")
    result = take_in(home, upstream)
    assert not result.success
    assert "is signed and has sha256" in failure(result)
    assert "GitHub has" in failure(result)
    assert not list((home.root.artifacts / "cache" / "iso").glob("vyos-*"))


def announced(home: LabEnvironment, url: str) -> None:
    """Report the release as the sensor does that took it up at a URL."""
    event = release_event(release_at(RELEASE, url), RELEASE, announced=True)
    home.instance.report_runless_asset_event(event)


def place_in_the_feed(home: LabEnvironment) -> str:
    return f"{home.lab.feed.url}/{RELEASE}/{iso_file_name(RELEASE)}"


def test_an_iso_comes_from_where_it_was_announced_whatever_the_feed_says_by_now(home: LabEnvironment) -> None:
    place = place_in_the_feed(home)
    announced(home, place)
    (home.lab.files.feed / FEED_NAME).write_text("[]")
    assert said(take_in(home, home.settings.feed))["source"] == place


def test_the_feed_is_asked_where_an_iso_is_that_is_no_longer_where_it_was_announced(home: LabEnvironment) -> None:
    place = place_in_the_feed(home)
    announced(home, place.replace(f"/{RELEASE}/", "/elsewhere/"))
    assert said(take_in(home, home.settings.feed))["source"] == place


def test_an_announced_place_at_a_host_that_is_not_allowed_is_not_asked(home: LabEnvironment) -> None:
    announced(home, f"https://elsewhere.example/{RELEASE}/{iso_file_name(RELEASE)}")
    assert said(take_in(home, home.settings.feed))["source"] == place_in_the_feed(home)
