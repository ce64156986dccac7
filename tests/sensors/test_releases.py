"""The release sensor as Dagster evaluates it, against a feed served over TLS."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest

from hyops_assets.checks.feed import KEY, feed_is_sound
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.version import iso_file_name
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.partitions import VERSIONS
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from hyops_lab.authority import Authority
from hyops_lab.feed import ReleaseServer
from hyops_lab.iso_layout import built_at
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.feed.client import FeedUnavailable, ReleaseFeed
from sensors.cursor import Cursor
from sensors.releases import LOOK_UP_SECONDS, POLL_SECONDS, FeedAlarm
from tests.sensors.scene import Daemon, Killed, announced, requested
from tests.work import calls_of

FIRST = "2026.03.03-0027-rolling"
SECOND = "2026.03.04-0027-rolling"
THIRD = "2026.03.05-0027-rolling"


class Scene(Daemon):
    """A feed, an environment that reads it, and a Dagster instance; time passes only when told to."""

    def __init__(
        self, directory: Path, server: ReleaseServer, trace: Trace, instance: dg.DagsterInstance, **settings: Any
    ) -> None:
        self.directory = directory
        self.server = server
        self.trace = trace
        self.now = datetime(2026, 3, 10, tzinfo=UTC)
        here = {"urls": [server.feed_url], "iso_hosts": ["127.0.0.1"], "github_api": server.url, "poll_seconds": 60}
        feed = FeedSettings.model_validate({**here, **settings})
        super().__init__(directory, instance, feed, clock=lambda: self.now)

    @property
    def feed(self) -> Path:
        return self.directory / "feed" / "version.json"

    def announce(self, release: str) -> None:
        iso = self.directory / "some.iso"
        iso.write_bytes(b"iso")
        self.server.publish(release, iso, "minisig", built_at(release))

    def edit(self, **changes: str) -> None:
        """Change the newest entry of the feed."""
        entries = json.loads(self.feed.read_bytes())
        entries[0].update(changes)
        self.feed.write_text(json.dumps(entries))

    def statuses(self) -> list[int]:
        return [request.status for request in self.trace.requests() if request.path == "/version.json"]

    def verdict(self) -> tuple[bool, str]:
        """What the UI shows of the feed's check."""
        record = self.instance.get_latest_asset_check_evaluation_record(KEY)
        assert record is not None
        assert record.event is not None
        assert record.event.dagster_event is not None
        found = record.event.dagster_event.asset_check_evaluation_data
        return found.passed, found.description or ""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "feed").mkdir()
    return tmp_path


@pytest.fixture
def scene(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    trace = Trace(directory / "trace.jsonl")
    authority = Authority(directory / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    server = ReleaseServer(directory / "feed", trace, authority)
    with running(server), dg.DagsterInstance.ephemeral() as instance:
        yield Scene(directory, server, trace, instance)


def test_a_new_release_becomes_a_partition_an_event_and_one_run(scene: Scene) -> None:
    scene.announce(FIRST)
    result = scene.tick()
    assert requested(result) == [FIRST]
    assert announced(result) == [FIRST]
    assert scene.instance.get_dynamic_partitions(str(VERSIONS.name)) == [FIRST]
    assert scene.verdict() == (True, "every entry is good, and none contradicts an earlier reading")


def test_an_unchanged_feed_costs_one_conditional_request_and_asks_for_nothing(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    before = len(scene.trace.requests())
    result = scene.tick()
    assert not result.run_requests
    assert "unchanged" in str(result.skip_reason)
    assert [request.status for request in scene.trace.requests()[before:]] == [304]


def test_an_unchanged_tick_does_not_grow_with_history(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(2000)]
    known = [day.strftime("%Y.%m.%d-%H%M-rolling") for day in days]
    # The first unchanged tick still imports and compiles what the later ones find ready.
    scene.tick()
    with_one = calls_of(scene.tick)
    scene.instance.add_dynamic_partitions(str(VERSIONS.name), known)
    before = len(scene.trace.requests())
    with_two_thousand = calls_of(scene.tick)
    assert [request.status for request in scene.trace.requests()[before:]] == [304]
    assert with_two_thousand < 1.2 * with_one


def test_a_later_release_is_asked_for_once(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.announce(SECOND)
    assert requested(scene.tick()) == [SECOND]
    assert requested(scene.tick()) == []


def test_a_bad_entry_is_refused_with_its_reason_and_a_good_one_beside_it_still_flows(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    entry = '{"url": "https://127.0.0.1/vyos--generic-amd64.iso", "version": "", "timestamp": ""}'
    scene.feed.write_text(scene.feed.read_text().replace("[", f"[{entry},", 1))
    result = scene.tick()
    assert not result.run_requests
    assert "refused entry 0" in str(result.skip_reason)
    assert scene.verdict()[0] is False
    assert "entry 0 ('') is refused: the version is empty" in scene.verdict()[1]
    unchanged = scene.tick()
    assert "unchanged" in str(unchanged.skip_reason)
    assert "refused entry 0" in str(unchanged.skip_reason)
    scene.announce(SECOND)
    assert requested(scene.tick()) == [SECOND]


def test_a_verdict_is_reported_when_it_changes_and_not_at_each_tick(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.announce(SECOND)
    quiet = scene.tick()
    assert announced(quiet) == [SECOND]
    assert not [event for event in quiet.asset_events if isinstance(event, dg.AssetCheckEvaluation)]


def by_hand(scene: Scene) -> dg.AssetCheckResult:
    """Execute the feed's check as the UI's button does."""
    context = dg.build_asset_check_context(instance=scene.instance)
    return cast("dg.AssetCheckResult", feed_is_sound(context, ReleaseFeed(scene.settings)))


def test_the_check_by_hand_passes_over_a_partition_that_is_no_version_and_finds_a_release_at_another_url(
    scene: Scene,
) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.instance.add_dynamic_partitions(str(VERSIONS.name), ["2026.03.3-mistyped"])
    assert by_hand(scene).passed
    scene.edit(url=f"https://127.0.0.1/{FIRST}/{iso_file_name(FIRST)}")
    found = by_hand(scene)
    assert not found.passed
    assert f"the URL of {FIRST} changed" in (found.description or "")


def test_a_dead_feed_is_a_reason_first_and_red_ticks_then_that_ask_nobody(scene: Scene) -> None:
    for failures in (1, 2, 3):
        result = scene.tick()
        assert "no release feed could be read" in str(result.skip_reason)
        cursor = Cursor.parse(scene.cursor)
        assert cursor.failures == failures
        assert cursor.not_before is not None
        asked = len(scene.statuses())
        if failures < 3:
            assert "answers 404" in str(scene.tick().skip_reason)
        else:
            with pytest.raises(FeedUnavailable, match=r"3 polls failed in a row.*answers 404"):
                scene.tick()
        assert len(scene.statuses()) == asked
        scene.now = cursor.not_before


def test_a_feed_that_is_no_json_is_a_reason_and_not_silence(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.feed.write_text("<html>moved</html>")
    assert "not JSON" in str(scene.tick().skip_reason)


def test_a_feed_that_recovers_is_forgiven(scene: Scene) -> None:
    scene.tick()
    scene.announce(FIRST)
    scene.now += timedelta(minutes=1)
    assert requested(scene.tick()) == [FIRST]
    assert Cursor.parse(scene.cursor).failures == 0


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda scene: scene.edit(url=f"https://127.0.0.1/{SECOND}/{iso_file_name(SECOND)}"), f"the URL of {SECOND}"),
        (lambda scene: scene.feed.write_text(json.dumps(json.loads(scene.feed.read_bytes())[1:])), "went backwards"),
        (lambda scene: scene.announce("2026.03.02-0030-rolling"), "an old release is replayed"),
        (lambda scene: scene.announce("2031.03.02-0030-rolling"), "ahead of our clock"),
    ],
)
def test_a_feed_that_contradicts_itself_is_a_red_tick_and_a_failing_check_until_it_is_mended(
    scene: Scene, break_it: Any, why: str
) -> None:
    scene.announce("2026.03.01-0030-rolling")
    scene.tick()
    for run in scene.runs():
        scene.finish(run)
    for release in (FIRST, SECOND):
        scene.announce(release)
    scene.tick()
    whole = scene.feed.read_text()
    break_it(scene)
    for _ in range(2):
        with pytest.raises(FeedAlarm, match=why):
            scene.tick()
        passed, said = scene.verdict()
        assert not passed
        assert why in said
    scene.feed.write_text(whole)
    assert not scene.tick().run_requests
    assert scene.verdict()[0]


def test_a_good_release_beside_a_contradiction_is_asked_for_first_and_the_tick_after_is_red(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.edit(url=f"https://127.0.0.1/{FIRST}/{iso_file_name(FIRST)}")
    scene.announce(SECOND)
    assert requested(scene.tick()) == [SECOND]
    assert f"the URL of {FIRST} changed" in scene.verdict()[1]
    with pytest.raises(FeedAlarm, match=f"the URL of {FIRST} changed"):
        scene.tick()


def test_a_release_that_github_does_not_have_is_held_back_and_said_until_it_has(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.announce(SECOND)
    hidden = scene.directory / "hidden"
    (scene.directory / "feed" / SECOND).rename(hidden)
    held = scene.tick()
    assert not held.run_requests
    assert f"GitHub has no release {SECOND}" in str(held.skip_reason)
    with pytest.raises(FeedAlarm, match="GitHub has no release"):
        scene.tick()
    hidden.rename(scene.directory / "feed" / SECOND)
    assert requested(scene.tick()) == [SECOND]


def test_where_github_cannot_be_asked_the_feed_is_believed(scene: Scene) -> None:
    scene.settings = scene.settings.model_copy(update={"github_api": "https://127.0.0.1:9"})
    scene.announce(FIRST)
    assert requested(scene.tick()) == [FIRST]


def test_an_air_gapped_site_reads_the_feed_of_its_mirror_and_asks_nobody(scene: Scene) -> None:
    scene.announce(FIRST)
    entries = json.loads(scene.feed.read_bytes())
    mirror = scene.directory / "mirror.json"
    entries[0]["url"] = f"https://127.0.0.1/{FIRST}/{iso_file_name(FIRST)}"
    mirror.write_text(json.dumps(entries))
    scene.settings = scene.settings.model_copy(update={"urls": [str(mirror)], "github_api": None})
    assert requested(scene.tick()) == [FIRST]
    assert "unchanged" in str(scene.tick().skip_reason)
    assert scene.trace.requests() == []


@pytest.mark.parametrize("step", ["events", "partitions", "runs"])
def test_a_tick_that_is_killed_on_its_way_is_made_good_by_the_next_one_even_if_the_feed_went_on(
    scene: Scene, step: str
) -> None:
    scene.announce(FIRST)
    with pytest.raises(Killed):
        scene.tick(killed_after=step)
    scene.announce(SECOND)
    scene.feed.write_text(json.dumps(json.loads(scene.feed.read_bytes())[:1]))
    scene.tick()
    assert scene.built() == [FIRST, SECOND]
    scene.tick()
    assert scene.built() == [FIRST, SECOND]


def test_a_cursor_that_was_reset_asks_for_nothing_twice(scene: Scene) -> None:
    for release in (FIRST, SECOND):
        scene.announce(release)
        scene.tick()
    scene.cursor = None
    scene.tick()
    scene.announce(THIRD)
    for run in scene.runs():
        scene.finish(run)
    scene.tick()
    assert scene.built() == [FIRST, SECOND, THIRD]


def test_a_build_that_is_queued_or_running_counts_and_one_by_hand_is_left_alone(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.announce(SECOND)
    scene.launch(SECOND)
    scene.announce(THIRD)
    held = scene.tick()
    assert f"{THIRD} waits: 2 builds are in flight" in str(held.skip_reason)
    scene.finish(scene.runs()[0])
    assert requested(scene.tick()) == [THIRD]
    assert sorted(scene.built()) == [FIRST, SECOND, THIRD]


def test_a_dead_feed_does_not_hold_back_what_waits(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    for release in (SECOND, THIRD):
        scene.announce(release)
    scene.tick()
    scene.feed.unlink()
    for run in scene.runs():
        scene.finish(run)
    for _ in range(6):
        cursor = Cursor.parse(scene.cursor)
        scene.now = cursor.not_before or scene.now
        scene.tick()
    assert scene.built() == [FIRST, SECOND, THIRD]


def test_the_check_can_be_executed_by_hand(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    scene.edit(url="https://example.org/x.iso")
    job = scene.definitions.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection=set(), asset_check_selection={KEY}).execute_in_process(
        instance=scene.instance
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "host example.org is not among" in str(evaluation.description)


def test_releases_that_stop_coming_fail_the_asset_where_the_sensor_runs(tmp_path: Path) -> None:
    def policy(**feed: Any) -> object:
        definitions = build_definitions(RuntimeRoot(tmp_path), Settings(feed=FeedSettings(**feed)))
        return definitions.resolve_asset_graph().get(dg.AssetKey("vyos_release")).freshness_policy

    assert policy(sensor="stopped") is None
    assert policy(sensor="running", stale_after_days=3) == dg.FreshnessPolicy.time_window(timedelta(days=3))


def test_importing_definitions_needs_no_secret_and_no_network(tmp_path: Path) -> None:
    assert "HCLOUD_TOKEN" not in os.environ
    dg.Definitions.validate_loadable(build_definitions(RuntimeRoot(tmp_path), Settings()))


def test_an_entity_tag_of_no_shape_stops_no_later_tick(scene: Scene) -> None:
    scene.announce(FIRST)
    scene.tick()
    assert scene.cursor is not None
    for bad in ('"\xe9"', 3, '"a"\r\nb', ["x"]):
        scene.cursor = json.dumps({**json.loads(scene.cursor), "etag": bad})
        before = len(scene.statuses())
        scene.tick()
        assert scene.statuses()[before:] == [200]


@pytest.mark.parametrize(
    "wrong",
    [
        {"newest": {"rolling": "latest"}},
        {"passed": {"rolling": "\u0662026.03"}},
        {"waiting": [{"version": "x", "url": "y", "minisig_url": "z", "line": "rolling"}]},
        {"asked": {"rolling": "2026-03-03T00:00:00"}},
        {"failed_at": "2026-03-03T00:00:00", "not_before": "2026-03-13T00:00:00"},
        {"failures": -1},
        {"newest": []},
    ],
)
def test_a_part_of_the_cursor_that_is_wrong_counts_as_absent_and_the_rest_is_kept(wrong: dict[str, Any]) -> None:
    kept = Cursor.parse(json.dumps({"etag": '"x"', "url": "https://f/", "trouble": "was down", **wrong}))
    assert (kept.etag, kept.url, kept.trouble) == (None, "https://f/", "was down")
    for name in wrong:
        assert getattr(kept, name) == getattr(Cursor(), name)


def test_a_partition_that_is_no_version_stops_no_tick(scene: Scene) -> None:
    scene.instance.add_dynamic_partitions(str(VERSIONS.name), ["by hand"])
    scene.announce(FIRST)
    assert requested(scene.tick()) == [FIRST]


def test_a_tick_s_exchanges_fit_into_dagster_s_time_for_it() -> None:
    assert POLL_SECONDS + LOOK_UP_SECONDS <= 45
