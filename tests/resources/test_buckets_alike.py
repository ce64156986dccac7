"""What is said of a bucket holds for every body of it: names are created once, moving objects compared and swapped."""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_assets.image.digests import sha256_of_bytes
from hyops_lab.authority import Authority
from resources.buckets.base import Bucket, Changed, Immutable, Noted, NotThere, Taken
from resources.buckets.create_only import DigestMismatch
from resources.buckets.directory import DirectoryBucket
from resources.buckets.names import BadObjectName
from resources.buckets.s3 import S3Bucket
from resources.buckets.s3_client import s3_client
from tests import s3_scene

pytestmark = pytest.mark.seconds

WRITERS = 50
BODIES = ["directory", "s3", *(["real"] if os.environ.get("HYOPS_S3_ENDPOINT") else [])]

Open = Callable[[], Bucket]


@pytest.fixture(params=BODIES)
def body(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    if request.param == "directory":
        yield lambda: DirectoryBucket(tmp_path / "objects")
    elif request.param == "real":
        endpoint, name = os.environ["HYOPS_S3_ENDPOINT"], os.environ["HYOPS_S3_BUCKET"]
        yield lambda: S3Bucket(
            lambda: s3_client(endpoint, os.environ.get("HYOPS_S3_REGION"), os.environ),
            name,
            part_bytes=s3_scene.PART_BYTES,
        )
    else:
        authority = Authority(tmp_path / "authority")
        s3_scene.trust(authority, monkeypatch)
        with s3_scene.s3_scene(tmp_path, authority) as scene:
            yield scene.bucket


@pytest.fixture
def name() -> str:
    return f"states/{secrets.token_hex(8)}/latest.json"


def noted(content: bytes) -> Noted:
    return Noted(sha256_of_bytes(content), "text/plain", {"record": "r"})


def test_an_immutable_object_is_created_once(body: Open, name: str) -> None:
    assert body().create(name, b"first", noted(b"first")) == 5
    with pytest.raises(Taken):
        body().create(name, b"other", noted(b"other"))
    held = body().head(name)
    assert held is not None
    assert (held.name, held.size_bytes) == (name, 5)
    assert held.noted is not None
    assert (held.noted.sha256, held.noted.content_type, held.noted.metadata) == (
        sha256_of_bytes(b"first"),
        "text/plain",
        {"record": "r"},
    )
    assert body().read(name) == b"first"


def test_what_is_not_what_was_promised_is_not_created(body: Open, name: str) -> None:
    with pytest.raises(DigestMismatch):
        body().create(name, b"other", noted(b"first"))
    assert body().head(name) is None


def test_a_moving_object_is_swapped_by_who_knows_what_stands_there(body: Open, name: str) -> None:
    first = body().replace(name, b"1", expected=None)
    second = body().replace(name, b"2", expected=first)
    for wrong in (None, first, "nothing-like-it"):
        with pytest.raises(Changed):
            body().replace(name, b"3", expected=wrong)
    held = body().head(name)
    assert held is not None
    assert (held.tag, held.noted, body().read(name)) == (second, None, b"2")


def test_what_is_not_there_is_not_swapped_by_a_tag_of_another_object(body: Open, name: str) -> None:
    tag = body().replace(f"{name}.beside", b"1", expected=None)
    with pytest.raises(Changed):
        body().replace(name, b"1", expected=tag)
    assert body().head(name) is None
    with pytest.raises(NotThere):
        body().read(name)


def test_what_was_created_with_its_digest_is_never_swapped(body: Open, name: str) -> None:
    body().create(name, b"first", noted(b"first"))
    held = body().head(name)
    assert held is not None
    with pytest.raises(Immutable):
        body().replace(name, b"other", expected=held.tag)
    assert body().read(name) == b"first"


def test_a_range_is_read_and_ends_where_the_object_does(body: Open, name: str) -> None:
    body().create(name, b"0123456789", noted(b"0123456789"))
    bucket = body()
    assert bucket.read(name, start=2, stop=5) == b"234"
    assert bucket.read(name, start=8) == b"89"
    assert bucket.read(name, start=8, stop=100) == b"89"
    assert bucket.read(name, start=5, stop=5) == b""
    assert bucket.read(name, start=10) == b""


def test_names_are_listed_by_prefix(body: Open, name: str) -> None:
    directory = name.rpartition("/")[0]
    for each in ("b", "a", "c/d"):
        body().replace(f"{directory}/{each}", b"x", expected=None)
    assert body().list(f"{directory}/") == [f"{directory}/{each}" for each in ("a", "b", "c/d")]
    assert body().list(f"{directory}/c/") == [f"{directory}/c/d"]


def test_of_fifty_who_saw_the_same_one_swaps(body: Open, name: str) -> None:
    seen = body().replace(name, b"seen", expected=None)
    bucket = body()

    def swap(number: int) -> str:
        try:
            bucket.replace(name, f"of {number}".encode(), expected=seen)
        except Changed:
            return "changed"
        return f"of {number}"

    with ThreadPoolExecutor(WRITERS) as threads:
        outcomes = Counter(threads.map(swap, range(WRITERS)))
    assert outcomes.pop("changed") == WRITERS - 1
    assert list(outcomes) == [body().read(name).decode()]


def test_a_name_that_leads_elsewhere_is_refused(body: Open) -> None:
    for bad in ("/etc/passwd", "a/../b", "a b", "a/"):
        with pytest.raises(BadObjectName):
            body().replace(bad, b"x", expected=None)
        with pytest.raises(BadObjectName):
            body().head(bad)
