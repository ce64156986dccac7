import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.urls import BadUrl
from hyops_assets.contract.version import BadVersion, iso_file_name
from hyops_assets.settings.feed import FeedSettings
from hyops_lab.authority import Authority
from hyops_lab.feed import DOWNLOADS, ReleaseServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.feed.client import MAX_FEED_BYTES, FeedUnavailable, ReleaseFeed
from resources.feed.parse import release_at
from resources.feed.unknown import ReleaseUnknown
from resources.time_budget import TimeBudget
from tests.resources.hostile import SLOW, answer, serving
from tests.resources.redirecting import Redirecting

pytestmark = pytest.mark.seconds

RELEASE = "2026.03.03-0027-rolling"
TIME = datetime(2026, 3, 3, 0, 27, 11, tzinfo=UTC)


@dataclass
class Scene:
    server: ReleaseServer
    trace: Trace
    authority: Authority
    iso: Path

    def feed(self, *urls: str, **settings: str | list[str]) -> ReleaseFeed:
        named = {"urls": list(urls) or [self.server.feed_url], "iso_hosts": ["127.0.0.1"], **settings}
        return ReleaseFeed(FeedSettings.model_validate(named), timeout_seconds=2.0)

    def statuses(self) -> list[int]:
        return [request.status for request in self.trace.requests()]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    trace = Trace(tmp_path / "trace.jsonl")
    server = ReleaseServer(tmp_path / "releases", trace, authority)
    iso = tmp_path / "some.iso"
    iso.write_bytes(b"iso" * 100)
    with running(server):
        yield Scene(server, trace, authority, iso)


def test_the_first_poll_reads_the_feed_and_the_next_one_learns_that_nothing_changed(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    feed = scene.feed()
    first = feed.poll()
    assert first.status == "changed"
    assert first.feed is not None
    assert first.feed.newest is not None
    assert (first.feed.newest.version, first.feed.newest.timestamp) == (RELEASE, TIME)
    again = feed.poll(first.etag, first.url)
    assert (again.status, again.feed, again.etag) == ("unchanged", None, first.etag)
    assert scene.statuses() == [200, 304]


def test_a_release_published_meanwhile_is_seen(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    etag = scene.feed().poll().etag
    newer = "2026.03.04-0027-rolling"
    scene.server.publish(newer, scene.iso, "signature", TIME.replace(day=4))
    polled = scene.feed().poll(etag)
    assert polled.feed is not None
    assert [release.version for release in polled.feed.good] == [newer, RELEASE]


def test_an_absent_feed_is_a_failure_and_not_an_absence_of_news(scene: Scene):
    with pytest.raises(FeedUnavailable, match="answers 404"):
        scene.feed().poll()


def test_the_next_url_is_asked_where_one_fails(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    gone = f"{scene.server.url}/current/version.json"
    polled = scene.feed(gone, scene.server.feed_url).poll()
    assert (polled.status, polled.url) == ("changed", scene.server.feed_url)


def test_a_validator_is_shown_only_to_the_url_that_gave_it(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    feed = scene.feed(f"{scene.server.url}/gone.json", scene.server.feed_url)
    first = feed.poll()
    assert feed.poll(first.etag).status == "changed"
    assert feed.poll(first.etag, first.url).status == "unchanged"


@pytest.mark.parametrize("content", ["<html>", "{}", '["' + "x" * MAX_FEED_BYTES + '"]'])
def test_an_answer_that_is_no_feed_is_a_failure(scene: Scene, content: str):
    (scene.server.directory / "version.json").write_text(content)
    with pytest.raises(FeedUnavailable, match="no release feed could be read"):
        scene.feed().poll()


def test_a_server_that_is_gone_is_named_with_the_reason(scene: Scene):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}/version.json"
        with pytest.raises(FeedUnavailable, match=f"(?s){url}.*Connection refused"):
            scene.feed(url).poll()


def test_a_redirect_is_followed_to_an_allowed_host_only(scene: Scene, tmp_path: Path):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    targets = {"/allowed": scene.server.feed_url, "/foreign": "https://localhost:9/version.json"}
    targets["/plain"] = scene.server.feed_url.replace("https", "http")
    redirecting = Redirecting(tmp_path / "empty", scene.trace, scene.authority, targets)
    with running(redirecting):
        assert scene.feed(f"{redirecting.url}/allowed").poll().status == "changed"
        with pytest.raises(FeedUnavailable, match="the host is none of"):
            scene.feed(f"{redirecting.url}/foreign").poll()
        with pytest.raises(FeedUnavailable, match="the scheme is not https"):
            scene.feed(f"{redirecting.url}/plain").poll()


@pytest.mark.parametrize("slow", SLOW)
def test_a_server_that_takes_for_ever_is_given_up_and_the_next_one_asked(scene: Scene, slow: str):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    with serving(SLOW[slow], scene.authority) as server:
        named = FeedSettings(urls=[f"{server.url}/", scene.server.feed_url], iso_hosts=["127.0.0.1"])
        assert ReleaseFeed(named, timeout_seconds=1.5).poll().url == scene.server.feed_url


def test_the_urls_of_a_feed_share_the_time_of_a_tick_and_the_last_one_has_its_part(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    with serving(SLOW["a header that drips"], scene.authority) as server:
        slow = [f"{server.url}/{number}" for number in range(4)]
        feed = ReleaseFeed(FeedSettings(urls=[*slow, scene.server.feed_url], iso_hosts=["127.0.0.1"]))
        assert feed.poll(budget=TimeBudget(5.0)).url == scene.server.feed_url
        with pytest.raises(FeedUnavailable, match=r"no time is left of 0 s(; no time is left of 0 s){4}"):
            feed.poll(budget=TimeBudget(0))


def test_a_look_at_github_that_takes_for_ever_speaks_neither_for_nor_against_a_release(scene: Scene):
    with serving(SLOW["a body that drips"], scene.authority) as server:
        feed = ReleaseFeed(FeedSettings(github_api=server.url), timeout_seconds=0.5)
        found = feed.look_up(release_at(RELEASE, UPSTREAM))
    assert (found.status, "takes longer than it may" in found.reason) == ("unknown", True)


def test_an_entity_tag_that_is_none_is_never_kept_and_one_that_was_kept_is_never_shown(scene: Scene):
    def script(_: bytes) -> Iterator[bytes | float]:
        yield answer(b"[]", 'ETag: "\xe9"')

    with serving(script, scene.authority) as server:
        feed = scene.feed(f"{server.url}/version.json")
        assert [feed.poll(etag, f"{server.url}/version.json").etag for etag in (None, '"\xe9"')] == [None, None]
        assert all(b"If-None-Match" not in request for request in server.asked)


def test_a_release_is_found_by_its_announcement(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    found = scene.feed().find(RELEASE)
    assert found.url == f"{scene.server.url}/{DOWNLOADS}/{RELEASE}/vyos-{RELEASE}-generic-amd64.iso"
    assert found.timestamp == TIME


def test_an_older_release_is_looked_for_beside_the_newest(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    found = scene.feed().find("2026.02.01-0030-rolling")
    assert (
        found.url
        == f"{scene.server.url}/{DOWNLOADS}/2026.02.01-0030-rolling/vyos-2026.02.01-0030-rolling-generic-amd64.iso"
    )
    assert found.timestamp is None


def test_a_release_of_another_line_is_unknown_without_a_mirror(scene: Scene):
    scene.server.publish(RELEASE, scene.iso, "signature", TIME)
    with pytest.raises(ReleaseUnknown, match=rf"announces {RELEASE}"):
        scene.feed().find("2026.03")
    assert scene.feed(mirror="/srv/mirror").find("2026.03").url == "/srv/mirror/2026.03/vyos-2026.03-generic-amd64.iso"


def test_a_release_whose_entry_was_refused_is_not_found_by_another_way(scene: Scene):
    entry = {"version": RELEASE, "url": "https://example.org/x.iso"}
    (scene.server.directory / "version.json").write_text(json.dumps([entry]))
    with pytest.raises(ReleaseUnknown, match=r"was refused: host example\.org is not among"):
        scene.feed(mirror="/srv/mirror").find(RELEASE)


def test_where_the_feed_is_down_a_mirror_still_leads_to_a_release(scene: Scene):
    with pytest.raises(FeedUnavailable):
        scene.feed().find(RELEASE)
    assert scene.feed(mirror="https://mirror.example/vyos/").find(RELEASE).url == (
        f"https://mirror.example/vyos/{RELEASE}/vyos-{RELEASE}-generic-amd64.iso"
    )


def test_a_place_that_the_user_names_asks_no_feed(scene: Scene):
    found = scene.feed().find(RELEASE, source_iso_url="/srv/some.iso")
    assert (found.url, found.minisig_url, found.given) == ("/srv/some.iso", "/srv/some.iso.minisig", True)
    assert scene.statuses() == []


UPSTREAM = f"https://github.com/vyos/vyos-nightly-build/releases/download/{RELEASE}/{iso_file_name(RELEASE)}"
MIRROR = "https://mirror.example/vyos"
MIRRORED = f"{MIRROR}/{RELEASE}/{iso_file_name(RELEASE)}"


def test_upstream_s_own_place_of_a_release_lets_the_mirror_come_first(scene: Scene):
    feed = scene.feed(mirror=MIRROR, iso_hosts=["github.com"])
    assert feed.places(feed.find(RELEASE, source_iso_url=UPSTREAM)) == [MIRRORED, UPSTREAM]
    assert scene.statuses() == []


@pytest.mark.parametrize(
    "place",
    [
        "/srv/some.iso",
        "https://elsewhere.example/some.iso",
        "https://github.com/another/fork/releases/download/v1/vyos.iso",
        UPSTREAM.replace("0027-rolling/", "0028-rolling/"),
        UPSTREAM + "?token=1",
        UPSTREAM.replace("https", "http"),
    ],
)
def test_any_other_place_means_that_very_file_whatever_is_mirrored(scene: Scene, place: str):
    feed = scene.feed(mirror=MIRROR, iso_hosts=["github.com"])
    assert feed.places(feed.find(RELEASE, source_iso_url=place)) == [place]


def test_without_a_mirror_upstream_s_place_is_the_only_one(scene: Scene):
    feed = scene.feed(iso_hosts=["github.com"])
    assert feed.places(feed.find(RELEASE, source_iso_url=UPSTREAM)) == [UPSTREAM]


def test_a_version_that_vyos_never_publishes_is_refused_before_anything_is_asked(scene: Scene):
    with pytest.raises(BadVersion):
        scene.feed().find("latest")
    assert scene.statuses() == []


@pytest.mark.parametrize(
    "place", ["https://[::1", "https://xn--a/x.iso", "https://m/a%00.iso", "https://m:99999/x.iso"]
)
def test_a_place_that_is_written_as_a_url_and_is_none_is_refused_by_type(scene: Scene, place: str):
    with pytest.raises(BadUrl):
        scene.feed().find(RELEASE, source_iso_url=place)
