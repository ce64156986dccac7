"""What is said of an object repository holds whatever is beneath it: the same sentences for every body.

With `HYOPS_S3_ENDPOINT` they are tried on a real S3 service besides (`tests/s3_scene.py`).
"""

import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from hyops_assets.contract.urls import PREFIX
from hyops_assets.image.digests import sha256_of_bytes
from hyops_lab.authority import Authority
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import BadObjectName
from resources.buckets.s3 import S3Bucket
from resources.buckets.s3_client import s3_client
from resources.repository.base import ObjectConflict, ObjectMissing, ObjectRepository, Published
from resources.repository.directory import DirectoryRepository
from resources.repository.gcs import GcsRepository
from resources.repository.marker import MARKER_NAME
from resources.repository.s3 import S3Repository
from tests import gcs_scene, s3_scene

WRITERS = 50
TYPE = "application/x-qemu-disk"
LARGE = os.urandom(11 << 20)
"""More than one request takes."""
BODIES = ["directory", "gcs", "s3", *(["real"] if os.environ.get("HYOPS_S3_ENDPOINT") else [])]

Open = Callable[[], ObjectRepository]
"""Opens the repository as another run would: with nothing of the one before but what is stored."""


@pytest.fixture(params=BODIES)
def body(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    authority = Authority(tmp_path / "authority")
    if request.param == "real":
        yield lambda: real(tmp_path)
        return
    gcs_scene.trust(authority, monkeypatch)
    s3_scene.trust(authority, monkeypatch)
    if request.param == "directory":
        server = ObjectServer(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), authority)
        with running(server):
            yield lambda: DirectoryRepository(tmp_path / "objects", server.url)
    elif request.param == "gcs":
        with gcs_scene.gcs_scene(tmp_path, authority) as google:
            url = f"{google.stand_in.url}/{gcs_scene.BUCKET}"
            publisher = google.client(gcs_scene.PUBLISHER)
            yield lambda: GcsRepository(
                lambda: publisher, google.client(None), gcs_scene.BUCKET, public_base_url=url, chunk_bytes=1 << 20
            )
    else:
        with s3_scene.s3_scene(tmp_path, authority) as scene:
            yield scene.repository


def real(tmp_path: Path) -> S3Repository:
    endpoint, bucket = os.environ["HYOPS_S3_ENDPOINT"], os.environ["HYOPS_S3_BUCKET"]
    connect = lambda: s3_client(endpoint, os.environ.get("HYOPS_S3_REGION"), os.environ)  # noqa: E731
    held = S3Bucket(connect, bucket, part_bytes=s3_scene.PART_BYTES, notes=tmp_path / "uploads")
    return S3Repository(held, os.environ.get("HYOPS_S3_BASE_URL", f"{endpoint}/{bucket}"))


@pytest.fixture
def name() -> str:
    """One that is free, in whatever service."""
    return f"{PREFIX}/alike/vyos-1.5-{secrets.token_hex(8)}.qcow2"


def publish(repository: ObjectRepository, name: str, content: bytes | Path, sha256: str = "") -> Published:
    digest = sha256 or sha256_of_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return repository.create(
        name, content, sha256=digest, content_type=TYPE, metadata={"disk-sha256": "d", "record": "r"}
    )


@pytest.mark.seconds
def test_an_object_is_created_once_adopted_known_and_read_by_anyone(body: Open, name: str) -> None:
    for content in (b"", b"disk" * 1000, LARGE):
        each = f"{name}.{len(content)}"
        first, second = publish(body(), each, content), publish(body(), each, content)
        assert (first.outcome, first.size_bytes, first.bytes_sent) == ("created", len(content), len(content))
        assert (second.outcome, second.size_bytes, second.bytes_sent) == ("adopted", len(content), 0)
        assert first.url == second.url == body().url(each)
        facts = body().head(each)
        assert facts is not None
        assert (facts.size_bytes, facts.sha256, facts.content_type) == (len(content), sha256_of_bytes(content), TYPE)
        assert facts.metadata == {"disk-sha256": "d", "record": "r"}
        assert body().read_anonymous(first.url) == body().read_anonymous(each) == (facts.sha256, len(content))
    assert [found for found in body().list(f"{PREFIX}/alike/") if found.startswith(name)] == sorted(
        f"{name}.{size}" for size in (0, 4000, len(LARGE))
    )


def test_a_name_with_other_bytes_is_a_conflict_and_keeps_them(body: Open, name: str) -> None:
    publish(body(), name, b"first")
    for other in (b"other", b"longer than the first", LARGE):
        with pytest.raises(ObjectConflict, match=r"make a revision.*-r2"):
            publish(body(), name, other)
    assert body().read_anonymous(name) == (sha256_of_bytes(b"first"), 5)


def test_what_is_not_there_is_said(body: Open, name: str) -> None:
    assert body().head(name) is None
    with pytest.raises(ObjectMissing):
        body().read_anonymous(name)


def test_bytes_that_are_not_the_promised_ones_are_not_published(body: Open, name: str, tmp_path: Path) -> None:
    for content in (b"changed since", LARGE[:-1] + b"x"):
        source = tmp_path / "source"
        source.write_bytes(content)
        with pytest.raises(DigestMismatch, match=str(source)):
            publish(body(), name, source, sha256_of_bytes(LARGE))
    assert body().head(name) is None


def test_a_name_that_leads_elsewhere_is_refused(body: Open) -> None:
    for bad in ("", "/etc/passwd", "a/../b", "a b", "a/", "ä"):
        with pytest.raises(BadObjectName):
            publish(body(), bad, b"x")


def test_it_proves_itself_once_and_is_ready(body: Open) -> None:
    repository = body()
    repository.require_ready()
    repository.require_public()
    repository.require_public()
    body().require_public()
    assert body().head(MARKER_NAME) is not None


@pytest.mark.seconds
def test_of_fifty_writers_of_equal_bytes_one_creates_and_the_others_adopt(body: Open, name: str) -> None:
    repositories = [body() for _ in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        outcomes = Counter(threads.map(lambda one: publish(one, name, b"disk" * 1000).outcome, repositories))
    assert outcomes == {"created": 1, "adopted": WRITERS - 1}


def test_of_fifty_writers_of_different_bytes_one_record_stands(body: Open, name: str) -> None:
    contents = [f"disk of writer {number}".encode() for number in range(WRITERS)]
    repository = body()
    repository.require_public()

    def outcome(content: bytes) -> str:
        try:
            return publish(repository, name, content).outcome
        except ObjectConflict:
            return "refused"

    with ThreadPoolExecutor(WRITERS) as threads:
        outcomes = Counter(threads.map(outcome, contents))
    assert outcomes == {"created": 1, "refused": WRITERS - 1}
    found = body().head(name)
    assert found is not None
    assert found.sha256 == body().read_anonymous(name).sha256
    assert found.sha256 in {sha256_of_bytes(content) for content in contents}


@pytest.mark.seconds
def test_killed_in_mid_upload_it_shows_nothing_and_the_next_run_completes_it(
    body: Open, name: str, tmp_path: Path
) -> None:
    body().require_public()
    source = tmp_path / "disk"
    source.write_bytes(LARGE)

    def die_in_the_middle(_: str, done: int, __: int | None) -> None:
        if done >= len(LARGE) // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def doomed() -> None:
        body().create(
            name,
            source,
            sha256=sha256_of_bytes(LARGE),
            content_type=TYPE,
            metadata={"disk-sha256": "d", "record": "r"},
            progress=die_in_the_middle,
        )

    child = get_context("fork").Process(target=doomed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert body().head(name) is None
    assert publish(body(), name, source).outcome == "created"
    assert body().read_anonymous(name) == (sha256_of_bytes(LARGE), len(LARGE))
