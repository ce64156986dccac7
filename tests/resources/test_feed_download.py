import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.version import iso_file_name
from hyops_assets.image.space import NoSpace
from hyops_assets.settings.feed import FeedSettings
from hyops_lab.authority import Authority
from hyops_lab.feed import ReleaseServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.answers import Pace
from resources.feed import download, partial_file
from resources.feed.download import ATTEMPTS, DownloadedIso, IsoUnavailable, IsoUnreachable, fetch_iso
from resources.feed.parse import Release, release_at
from resources.feed.partial_file import DestinationFailed, TooLarge
from resources.public_http import NotAllowed
from tests.killing import killed_at_each_line
from tests.resources.hostile import SLOW, answer, dripping, serving
from tests.resources.redirecting import Redirecting

RELEASE = "2026.03.03-0027-rolling"
NAME = iso_file_name(RELEASE)
CONTENT = b"".join(hashlib.sha256(i.to_bytes(4)).digest() for i in range(100_000))
SIGNATURE = "untrusted comment: x\nRWQ=\n"


@dataclass
class Scene:
    server: ReleaseServer
    trace: Trace
    authority: Authority
    iso: Path
    destination: Path

    @property
    def release(self) -> Release:
        return release_at(RELEASE, f"{self.server.url}/{RELEASE}/{NAME}")

    @property
    def partial(self) -> Path:
        return self.destination / f".{NAME}.partial"

    def fetch(
        self, release: Release | None = None, *, pace: Pace | None = None, **settings: str | int | list[str]
    ) -> DownloadedIso:
        named = FeedSettings.model_validate(
            {"iso_hosts": ["127.0.0.1"], "stream_iso_hosts": ["127.0.0.1"], **settings}
        )
        return fetch_iso(release or self.release, named, self.destination, wait_seconds=0, pace=pace)

    def served(self) -> list[tuple[str, int, int]]:
        return [(Path(request.path).suffix, request.status, request.answer_bytes) for request in self.trace.requests()]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    trace = Trace(tmp_path / "trace.jsonl")
    server = ReleaseServer(tmp_path / "releases", trace, authority)
    iso = tmp_path / "some.iso"
    iso.write_bytes(CONTENT)
    server.publish(RELEASE, iso, SIGNATURE, datetime(2026, 3, 3, tzinfo=UTC))
    with running(server):
        yield Scene(server, trace, authority, iso, tmp_path / "destination")


def test_an_iso_arrives_under_its_name_with_its_signature(scene: Scene):
    fetched = scene.fetch()
    assert fetched.iso == scene.destination / NAME
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.minisig == SIGNATURE
    assert fetched.source_url == scene.release.url
    assert fetched.bytes_received == len(CONTENT) + len(SIGNATURE)
    assert not scene.partial.exists()


def test_what_is_there_and_unchanged_is_not_fetched_again(scene: Scene):
    scene.fetch()
    again = scene.fetch()
    assert again.bytes_received == len(SIGNATURE)
    assert scene.served()[-1] == (".iso", 304, 0)
    assert again.iso.read_bytes() == CONTENT


def test_what_was_replaced_at_its_source_is_fetched_anew(scene: Scene):
    scene.fetch()
    (scene.server.directory / RELEASE / NAME).write_bytes(b"better")
    assert scene.fetch().iso.read_bytes() == b"better"


def test_after_a_discard_nothing_is_adopted(scene: Scene):
    fetched = scene.fetch()
    fetched.discard()
    assert not fetched.iso.exists()
    assert scene.fetch().bytes_received == len(CONTENT) + len(SIGNATURE)


def test_a_broken_transfer_goes_on_where_it_stopped(scene: Scene):
    scene.server.break_next_answer_after(1_000_000)
    fetched = scene.fetch()
    assert fetched.iso.read_bytes() == CONTENT
    statuses = [(status, size) for suffix, status, size in scene.served() if suffix == ".iso"]
    assert statuses[0] == (200, 1_000_000)
    assert statuses[1][0] == 206
    assert fetched.bytes_received <= len(CONTENT) + len(SIGNATURE)


def test_a_transfer_of_a_killed_run_goes_on_in_the_next_one(scene: Scene):
    leave_partial(scene, CONTENT[:1_000_000])
    fetched = scene.fetch()
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.bytes_received == len(CONTENT) - 1_000_000 + len(SIGNATURE)


def test_a_transfer_killed_after_its_last_byte_only_gets_its_name(scene: Scene):
    leave_partial(scene, CONTENT)
    fetched = scene.fetch()
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.bytes_received == len(SIGNATURE)
    assert scene.served()[-1] == (".iso", 416, 0)


@pytest.mark.parametrize("size", [1_000_000, len(CONTENT), len(CONTENT) + 7])
def test_bytes_of_another_file_are_never_built_upon(scene: Scene, size: int):
    leave_partial(scene, b"x" * size, etag='"of another file"')
    assert scene.fetch().iso.read_bytes() == CONTENT


def test_more_bytes_than_there_are_start_from_nothing(scene: Scene):
    leave_partial(scene, CONTENT + b"x")
    assert scene.fetch().iso.read_bytes() == CONTENT


def test_bytes_of_unknown_origin_are_never_built_upon(scene: Scene):
    scene.destination.mkdir()
    scene.partial.write_bytes(b"x" * 1000)
    assert scene.fetch().iso.read_bytes() == CONTENT


def leave_partial(scene: Scene, content: bytes, etag: str | None = None) -> None:
    left = partial_file.PartialFile(scene.destination / NAME)
    found = scene.server.represent(f"{RELEASE}/{NAME}")
    assert found is not None
    scene.destination.mkdir()
    left.begin(scene.release.url, etag or found.etag)
    scene.partial.write_bytes(content)


def test_a_source_that_breaks_every_time_is_given_up_and_keeps_what_arrived(scene: Scene):
    breaking = Breaking(scene.server.directory, scene.trace, scene.authority)
    with running(breaking), pytest.raises(IsoUnreachable, match="what arrived is kept"):
        scene.fetch(release_at(RELEASE, f"{breaking.url}/{RELEASE}/{NAME}"))
    tries = [request for request in scene.trace.requests() if request.path.endswith(".iso")]
    assert len(tries) == ATTEMPTS
    assert 0 < scene.partial.stat().st_size < len(CONTENT)
    assert not (scene.destination / NAME).exists()


class Breaking(ReleaseServer):
    """Drops every connection after 300,000 bytes of body."""

    def represent(self, name: str):
        if name.endswith(".iso"):
            self.break_next_answer_after(300_000)
        return super().represent(name)


def test_the_mirror_is_asked_first(scene: Scene, tmp_path: Path):
    mirror = ReleaseServer(tmp_path / "mirror", Trace(tmp_path / "mirror.jsonl"), scene.authority)
    mirror.publish(RELEASE, scene.iso, SIGNATURE, datetime(2026, 3, 3, tzinfo=UTC))
    with running(mirror):
        fetched = scene.fetch(mirror=f"{mirror.url}/", iso_hosts=[])
        assert fetched.source_url == f"{mirror.url}/{RELEASE}/{NAME}"
    assert scene.served() == []


def test_a_mirror_may_be_a_directory(scene: Scene):
    fetched = scene.fetch(mirror=str(scene.server.directory), iso_hosts=[])
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.source_url == str(scene.server.directory / RELEASE / NAME)
    assert scene.served() == []


def test_where_the_mirror_lacks_it_the_release_s_own_place_serves_and_that_is_said(scene: Scene, tmp_path: Path):
    fetched = scene.fetch(mirror=str(tmp_path / "empty"))
    assert fetched.source_url == scene.release.url
    assert [str(tmp_path / "empty") in reason for reason in fetched.passed_over] == [True]


@pytest.mark.parametrize("as_url", [False, True])
def test_a_local_iso_that_the_user_names_is_copied(scene: Scene, as_url: bool):
    place = scene.server.directory / RELEASE / NAME
    given = release_at(RELEASE, place.as_uri() if as_url else str(place), given=True)
    fetched = scene.fetch(given)
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.minisig == SIGNATURE
    assert place.exists()


def test_a_local_iso_without_a_signature_is_unavailable(scene: Scene):
    with pytest.raises(IsoUnavailable, match="minisig is no file"):
        scene.fetch(release_at(RELEASE, str(scene.iso), given=True))


def test_a_path_that_a_feed_announces_is_not_read(scene: Scene):
    with pytest.raises(NotAllowed):
        scene.fetch(release_at(RELEASE, (scene.server.directory / RELEASE / NAME).as_uri()))


@pytest.mark.parametrize("given", [False, True])
def test_a_host_that_is_not_allowed_is_not_asked(scene: Scene, given: bool):
    with pytest.raises(NotAllowed, match="the host is none of"):
        scene.fetch(release_at(RELEASE, scene.release.url, given=given), iso_hosts=["github.com"])
    assert scene.served() == []


@pytest.mark.parametrize("target", ["https://localhost:1/x.iso", "http://127.0.0.1:1/x.iso", "file:///etc/passwd"])
def test_a_redirect_off_the_allowed_hosts_is_refused(scene: Scene, tmp_path: Path, target: str):
    redirecting = Redirecting(scene.server.directory, scene.trace, scene.authority, {f"/{RELEASE}/{NAME}": target})
    with running(redirecting), pytest.raises(NotAllowed):
        scene.fetch(release_at(RELEASE, f"{redirecting.url}/{RELEASE}/{NAME}"))


def test_a_redirect_to_an_allowed_host_is_followed_and_its_query_is_not_recorded(scene: Scene, tmp_path: Path):
    targets = {
        f"/{RELEASE}/{name}": f"{scene.server.url}/{RELEASE}/{name}?sig=secret" for name in (NAME, f"{NAME}.minisig")
    }
    redirecting = Redirecting(tmp_path / "empty", scene.trace, scene.authority, targets)
    with running(redirecting):
        fetched = scene.fetch(release_at(RELEASE, f"{redirecting.url}/{RELEASE}/{NAME}"))
    assert fetched.iso.read_bytes() == CONTENT
    assert "secret" not in repr(fetched)
    assert not any(b"secret" in path.read_bytes() for path in scene.destination.iterdir())


def test_an_absent_iso_says_what_every_source_answered(scene: Scene, tmp_path: Path):
    with pytest.raises(IsoUnavailable, match=r"empty.* is no file.*answers 404"):
        scene.fetch(
            release_at("2026.03", f"{scene.server.url}/2026.03/{iso_file_name('2026.03')}"),
            mirror=str(tmp_path / "empty"),
        )


def test_an_iso_over_the_limit_is_refused_and_not_kept(scene: Scene):
    with pytest.raises(TooLarge, match=r"raise feed\.max_iso_bytes"):
        scene.fetch(max_iso_bytes=1_000_000)
    assert not scene.partial.exists()


def test_a_signature_that_is_none_is_refused(scene: Scene):
    signature = scene.server.directory / RELEASE / f"{NAME}.minisig"
    signature.write_bytes(b"x" * 100_000)
    with pytest.raises(TooLarge, match="no minisign signature"):
        scene.fetch()
    signature.write_bytes(b"\xff\xfe")
    with pytest.raises(IsoUnavailable, match="is not text"):
        scene.fetch()


def test_a_full_disk_is_said_and_what_arrived_is_kept(scene: Scene):
    # A file size limit stands in for a full disk: the same write fails, with EFBIG instead of ENOSPC.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(NoSpace):
            scene.fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert scene.partial.stat().st_size == 1_000_000
    assert scene.fetch().bytes_received == len(CONTENT) - 1_000_000 + len(SIGNATURE)


def test_an_iso_that_cannot_fit_is_not_begun(scene: Scene):
    iso = scene.server.directory / RELEASE / NAME
    with iso.open("r+b") as file:
        file.truncate(1 << 42)
    with pytest.raises(NoSpace, match="MiB are needed"):
        scene.fetch(max_iso_bytes=1 << 50)
    assert scene.served()[-1][2] < 10_000_000


@pytest.mark.seconds
def test_killed_at_any_line_a_rerun_has_the_iso_whole(scene: Scene):
    place = scene.server.directory / RELEASE / NAME
    place.write_bytes(b"small")
    given = release_at(RELEASE, str(place), given=True)
    kills = 0
    for line in killed_at_each_line(lambda: scene.fetch(given), download, partial_file, every=2):
        kills += 1
        final = scene.destination / NAME
        assert not final.exists() or final.read_bytes() == b"small"
        assert scene.fetch(given).iso.read_bytes() == b"small", line
        shutil.rmtree(scene.destination)
    assert kills > 20


@pytest.mark.seconds
def test_killed_at_any_line_of_a_transfer_over_https_a_rerun_has_the_iso_whole(scene: Scene):
    (scene.server.directory / RELEASE / NAME).write_bytes(b"small" * 100)
    kills = 0
    for line in killed_at_each_line(scene.fetch, partial_file, every=4):
        kills += 1
        final = scene.destination / NAME
        assert not final.exists() or final.read_bytes() == b"small" * 100
        assert scene.fetch().iso.read_bytes() == b"small" * 100, line
        shutil.rmtree(scene.destination)
    assert kills > 8


def test_a_destination_that_cannot_be_written_is_named(scene: Scene):
    scene.destination.write_text("a file")
    with pytest.raises(DestinationFailed, match="destination"):
        scene.fetch()


SOON = Pace(answer_seconds=1.0, silence_seconds=1.0, bytes_per_second=1 << 20, behind_seconds=1.0)


def with_signature(body: bytes | None, *headers: str, status: str = "200 OK"):
    """A source whose signature is good; of its ISO, one answer, or one that drips for ever."""

    def script(request: bytes) -> Iterator[bytes | float]:
        if b".minisig " in request.split(b"\r\n")[0]:
            yield answer(SIGNATURE.encode())
        elif body is None:
            yield from dripping(answer(CONTENT[:1000], 'ETag: "strong"', length=len(CONTENT)))(request)
        else:
            yield answer(body, *headers, status=status)

    return script


BAD_MIRRORS = {
    "too large": with_signature(b"x" * 3_500_000),
    "redirects to a host that is not allowed": with_signature(b"", "Location: https://xn--a/x", status="302 Found"),
    "redirects to what is no URL": with_signature(b"", "Location: https://[::1", status="302 Found"),
    "encoded": with_signature(b"x", "Content-Encoding: gzip"),
    "drips its ISO": with_signature(None),
    "drips its signature": SLOW["a body that drips"],
    "an endless signature": dripping(answer(b"x" * 100_000, length=1 << 30)),
    "no HTTP": dripping(b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.seconds
@pytest.mark.parametrize("bad", BAD_MIRRORS)
def test_whatever_is_wrong_with_the_mirror_the_release_s_own_place_serves_and_that_is_said(scene: Scene, bad: str):
    with serving(BAD_MIRRORS[bad], scene.authority) as mirror:
        fetched = scene.fetch(mirror=mirror.url, max_iso_bytes=len(CONTENT), pace=SOON)
    assert fetched.iso.read_bytes() == CONTENT
    assert fetched.source_url == scene.release.url
    assert [mirror.url in reason for reason in fetched.passed_over] == [True]


def test_where_every_source_is_refused_each_is_named_and_so_is_what_would_help(scene: Scene):
    with (
        serving(BAD_MIRRORS["too large"], scene.authority) as mirror,
        pytest.raises(IsoUnavailable, match=f"{NAME} has 3.*the host is none of") as refused,
    ):
        scene.fetch(mirror=mirror.url, iso_hosts=["github.com"], max_iso_bytes=len(CONTENT), pace=SOON)
    assert "feed.max_iso_bytes" in refused.value.hint
    assert "feed.iso_hosts" in refused.value.hint


def test_a_local_mirror_that_cannot_be_read_is_passed_over(scene: Scene, tmp_path: Path):
    place = tmp_path / "mirror" / RELEASE
    place.mkdir(parents=True)
    (place / f"{NAME}.minisig").write_text(SIGNATURE)
    # Regular for who looks, and unreadable at its first byte.
    (place / NAME).symlink_to("/proc/self/mem")
    fetched = scene.fetch(mirror=str(tmp_path / "mirror"))
    assert fetched.iso.read_bytes() == CONTENT
    assert "cannot be read" in fetched.passed_over[0]


@pytest.mark.seconds
def test_what_a_source_that_drips_brought_is_kept_for_a_rerun(scene: Scene):
    with serving(with_signature(None), scene.authority) as server, pytest.raises(IsoUnreachable, match="takes longer"):
        scene.fetch(release_at(RELEASE, f"{server.url}/{RELEASE}/{NAME}"), pace=SOON)
    assert scene.partial.stat().st_size >= 1000
    assert len(server.asked) == 2


@pytest.mark.parametrize("etag", ['"\xe9"', 'W/"weak"', "unquoted", '"a"\r\nX: y', ""])
def test_an_origin_with_a_tag_that_is_no_strong_one_counts_as_none(scene: Scene, etag: str):
    leave_partial(scene, b"x" * 1000)
    origin = scene.destination / f".{NAME}.origin.json"
    origin.write_text(json.dumps({"url": scene.release.url, "etag": etag}))
    assert partial_file.PartialFile(scene.destination / NAME).conditions(scene.release.url) == {}
    assert scene.fetch().iso.read_bytes() == CONTENT
