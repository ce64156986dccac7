import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import httpx
import pytest

from hyops_lab.authority import Authority
from hyops_lab.feed import ReleaseServer, publish
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.static import FOREVER
from hyops_lab.trace import Request, Trace

NAME = "network/vyos/vyos-1.5-2026.03.03-0027-rolling.raw.xz"
CONTENT = bytes(range(256)) * 4000
RELEASE = "2026.03.03-0027-rolling"
TIME = datetime(2026, 3, 3, 0, 27, tzinfo=UTC)


@dataclass
class Scene:
    server: ObjectServer
    trace: Trace
    client: httpx.Client

    def get(self, name: str, method: str = "GET", **headers: str) -> httpx.Response:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.request(method, f"{self.server.url}/{name}", headers=sent)


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[Scene]:
    path = tmp_path / "objects" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    (tmp_path / "objects" / "index.json").write_text("{}")
    (tmp_path / "objects" / ".hidden").write_text("x")
    (tmp_path / "outside").write_text("x")
    (tmp_path / "objects" / "link").symlink_to(tmp_path / "outside")
    trace = Trace(tmp_path / "trace.jsonl")
    server = ObjectServer(tmp_path / "objects", trace, authority)
    with running(server), httpx.Client() as client:
        yield Scene(server, trace, client)


def test_an_object_is_served_whole_and_may_be_cached_for_ever(scene: Scene):
    answer = scene.get(NAME)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Cache-Control"] == FOREVER
    assert answer.headers["Content-Type"] == "application/x-xz"
    assert scene.trace.requests() == [Request("objects", "GET", f"/{NAME}", 200, answer_bytes=len(CONTENT))]


def test_what_is_not_versioned_may_not_be_cached(scene: Scene):
    assert scene.get("index.json").headers["Cache-Control"] == "no-cache"


def test_head_has_the_headers_and_no_bytes(scene: Scene):
    answer = scene.get(NAME, "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert scene.trace.requests()[-1].answer_bytes == 0


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=1000-", 1000, len(CONTENT)), ("bytes=-10", -10, None), ("bytes=5-9999999", 5, None)],
)
def test_a_range_is_served_as_asked(scene: Scene, asked: str, start: int, stop: int | None):
    answer = scene.get(NAME, Range=asked)
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["Content-Range"].endswith(f"/{len(CONTENT)}")


def test_a_range_beyond_the_end_is_not_satisfiable(scene: Scene):
    answer = scene.get(NAME, Range=f"bytes={len(CONTENT)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize("headers", [{"Range": "bytes=x"}, {"Range": "bytes=5-", "If_Range": '"old"'}])
def test_a_range_that_is_malformed_or_stale_brings_everything(scene: Scene, headers: dict[str, str]):
    assert scene.get(NAME, **headers).content == CONTENT


def test_who_has_it_already_gets_a_message(scene: Scene):
    etag = scene.get(NAME).headers["ETag"]
    assert scene.get(NAME, If_None_Match=etag).status_code == 304
    (scene.server.directory / NAME).write_bytes(b"other")
    assert scene.get(NAME, If_None_Match=etag).status_code == 200


@pytest.mark.parametrize(
    "name", ["", "network", "network/vyos/", ".hidden", "link", "absent", "%2e%2e/outside", "network/..%2f..%2f../x"]
)
def test_nothing_is_listed_and_nothing_outside_or_hidden_is_served(scene: Scene, name: str):
    assert scene.get(name).status_code == 404


def test_nothing_can_be_written(scene: Scene):
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert scene.get(NAME, method).status_code == 405
    assert (scene.server.directory / NAME).read_bytes() == CONTENT
    assert scene.trace.mutations()["objects"] == 4


def test_a_connection_that_is_broken_on_request_counts_what_really_left(scene: Scene):
    scene.server.break_next_answer_after(1000)
    with pytest.raises(httpx.RemoteProtocolError):
        scene.get(NAME)
    assert scene.get(NAME).content == CONTENT
    assert [request.answer_bytes for request in scene.trace.requests()] == [1000, len(CONTENT)]


def test_a_port_in_use_is_said(scene: Scene, authority: Authority, tmp_path: Path):
    second = ObjectServer(tmp_path, scene.trace, authority, port=scene.server.port)
    with pytest.raises(OSError, match="address already in use"), running(second):
        pass


def test_a_release_published_by_another_process_is_served_with_the_server_s_own_urls(
    tmp_path: Path, authority: Authority
):
    iso = tmp_path / "iso"
    iso.write_bytes(CONTENT)
    directory = tmp_path / "releases"
    publisher = get_context("spawn").Process(target=publish, args=(directory, RELEASE, iso, "signature", TIME))
    publisher.start()
    publisher.join()
    server = ReleaseServer(directory, Trace(tmp_path / "trace.jsonl"), authority)
    with running(server), httpx.Client() as client:
        (entry,) = client.get(server.feed_url).json()
        assert entry["version"] == RELEASE
        assert entry["timestamp"] == "2026-03-03T00:27:00Z"
        assert client.get(entry["url"]).content == CONTENT
        assert client.get(f"{entry['url']}.minisig").text == "signature"
        assert client.get(server.feed_url).headers["Cache-Control"] == "no-cache"


def test_the_feed_is_newest_first_whatever_the_order_of_publishing(tmp_path: Path, authority: Authority):
    server = ReleaseServer(tmp_path / "releases", Trace(tmp_path / "trace.jsonl"), authority)
    iso = tmp_path / "iso"
    iso.write_bytes(b"x")
    for day in (3, 1, 2, 3):
        server.publish(f"2026.03.0{day}-0027-rolling", iso, "signature", TIME.replace(day=day))
    entries = json.loads((server.directory / "version.json").read_text())
    assert [entry["timestamp"][:10] for entry in entries] == ["2026-03-03", "2026-03-02", "2026-03-01"]


def test_a_feed_written_by_hand_is_served_as_it_is_with_absolute_urls(tmp_path: Path, authority: Authority):
    server = ReleaseServer(tmp_path, Trace(tmp_path / "trace.jsonl"), authority)
    with running(server), httpx.Client() as client:
        (tmp_path / "version.json").write_text('[{"version": "", "url": "https://elsewhere.example/x"}, 5]')
        assert client.get(server.feed_url).json() == [{"version": "", "url": "https://elsewhere.example/x"}, 5]
        (tmp_path / "version.json").write_text("<html>")
        assert client.get(server.feed_url).text == "<html>"
