"""The release sensor as Dagster evaluates it, against a feed served over TLS."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.feed_settings import FeedSettings
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from hyops_assets.definitions import build_definitions
from hyops_assets.lab.authority import Authority
from hyops_assets.lab.feed import ReleaseServer
from hyops_assets.lab.running import running
from hyops_assets.lab.trace import Trace
from hyops_assets.partitions import VERSIONS
from resources.settings import save_settings
from sensors.plan import Cursor

FIRST = "2026.03.03-0027-rolling"
SECOND = "2026.03.04-0027-rolling"


class Scene:
    """A feed, an environment that reads it, and a Dagster instance."""

    def __init__(self, directory: Path, server: ReleaseServer, trace: Trace, instance: dg.DagsterInstance) -> None:
        self.directory = directory
        self.server = server
        self.trace = trace
        self.instance = instance
        self.root = RuntimeRoot(directory / "root")
        settings = Settings(feed=FeedSettings(urls=[server.feed_url], iso_hosts=["127.0.0.1"], sensor="running"))
        save_settings(self.root, settings, heading="test")
        self.definitions = build_definitions(self.root, settings)
        self.cursor: str | None = None

    def announce(self, release: str, day: int) -> None:
        iso = self.directory / "some.iso"
        iso.write_bytes(b"iso")
        self.server.publish(release, iso, "minisig", datetime(2026, 3, day, 0, 27, tzinfo=UTC))

    def tick(self) -> dg.SensorResult:
        """Evaluate the sensor and do with its result what the daemon does."""
        sensor = self.definitions.resolve_sensor_def("vyos_rolling_release")
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"feed": self.definitions.resources["feed"]} if self.definitions.resources else None,
        )
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor = result.cursor
        return result


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    trace = Trace(tmp_path / "trace.jsonl")
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle_file))
    (tmp_path / "feed").mkdir()
    server = ReleaseServer(tmp_path / "feed", trace, authority)
    with running(server), dg.DagsterInstance.ephemeral() as instance:
        yield Scene(tmp_path, server, trace, instance)


def requested(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def test_a_new_release_becomes_a_partition_an_event_and_one_run(scene: Scene) -> None:
    scene.announce(FIRST, 3)
    result = scene.tick()
    assert requested(result) == [FIRST]
    assert [event.partition for event in result.asset_events] == [FIRST]
    assert scene.instance.get_dynamic_partitions(str(VERSIONS.name)) == [FIRST]


def test_an_unchanged_feed_costs_one_conditional_request_and_asks_for_nothing(scene: Scene) -> None:
    scene.announce(FIRST, 3)
    scene.tick()
    scene.tick()
    before = len(scene.trace.requests())
    result = scene.tick()
    assert not result.run_requests
    assert "unchanged" in str(result.skip_reason)
    assert [request.status for request in scene.trace.requests()[before:]] == [304]


def test_a_later_release_is_asked_for_once(scene: Scene) -> None:
    scene.announce(FIRST, 3)
    scene.tick()
    scene.announce(SECOND, 4)
    assert requested(scene.tick()) == [SECOND]
    assert requested(scene.tick()) == []


def test_a_bad_entry_is_refused_with_its_reason_and_a_good_one_beside_it_still_flows(scene: Scene) -> None:
    scene.announce(FIRST, 3)
    scene.tick()
    feed = scene.directory / "feed" / "version.json"
    entry = '{"url": "https://127.0.0.1/vyos--generic-amd64.iso", "version": "", "timestamp": ""}'
    feed.write_text(feed.read_text().replace("[", f"[{entry},", 1))
    result = scene.tick()
    assert not result.run_requests
    assert "refused entry 0" in str(result.skip_reason)
    scene.announce(SECOND, 4)
    assert requested(scene.tick()) == [SECOND]


def test_a_dead_feed_is_a_reason_first_and_a_red_tick_then(scene: Scene) -> None:
    (scene.directory / "feed" / "version.json").unlink(missing_ok=True)
    for failures in (1, 2):
        result = scene.tick()
        assert "no release feed could be read" in str(result.skip_reason)
        assert Cursor.parse(result.cursor).failures == failures
    with pytest.raises(Exception, match="no release feed could be read"):
        scene.tick()


def test_a_feed_that_recovers_is_forgiven(scene: Scene) -> None:
    scene.tick()
    scene.announce(FIRST, 3)
    assert requested(scene.tick()) == [FIRST]
    assert Cursor.parse(scene.cursor).failures == 0


def test_importing_definitions_needs_no_secret_and_no_network(tmp_path: Path) -> None:
    assert "HCLOUD_TOKEN" not in os.environ
    dg.Definitions.validate_loadable(build_definitions(RuntimeRoot(tmp_path), Settings()))
