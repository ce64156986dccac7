import base64
import hashlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import httpx
import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as AuthRequest
from google.cloud.storage import Blob
from google.oauth2 import service_account

from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, DropAfterCommit
from hyops_lab.gcs.server import GcsStandIn
from hyops_lab.running import running
from hyops_lab.trace import Trace
from tests.gcs_scene import BUCKET, PUBLISHER, UPLOADS, GcsScene, gcs_scene, trust

NAME = "network/vyos/vyos-1.5+x-2026.03.03-0027-rolling.raw.xz"
QUOTED = NAME.replace("+", "%2B")
MIB = 1 << 20
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
LARGE = bytes(range(256)) * (10 * MIB // 256) + b"tail"


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    return authority


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[GcsScene]:
    with gcs_scene(tmp_path, authority) as scene:
        yield scene


def upload(blob: Blob, content: bytes, **arguments: Any) -> Blob:
    blob.upload_from_file(io.BytesIO(content), size=len(content), **arguments)
    return blob


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "multipart", "resumable"])
def test_google_s_client_uploads_and_reads_back(scene: GcsScene, content: bytes):
    blob = scene.bucket(PUBLISHER).blob(NAME, chunk_size=MIB)
    blob.metadata = {"sha256": "a" * 64}
    blob.cache_control = "public, max-age=31536000, immutable"
    upload(blob, content, content_type="application/x-xz", if_generation_match=0)
    again = scene.bucket(PUBLISHER).get_blob(NAME)
    assert again is not None
    assert (again.size, again.crc32c, again.content_type) == (len(content), crc32c(content), "application/x-xz")
    assert again.md5_hash == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert (again.metadata, again.generation) == ({"sha256": "a" * 64}, blob.generation)
    assert again.download_as_bytes() == content


def test_an_anonymous_reader_reads_a_public_object_with_its_headers(scene: GcsScene):
    blob = scene.bucket(PUBLISHER).blob(NAME)
    blob.metadata = {"disk-sha256": "b"}
    upload(blob, b"0123456789", content_type="application/x-xz")
    answer = scene.get(QUOTED)
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["x-goog-generation"] == str(blob.generation)
    assert answer.headers["x-goog-hash"].startswith(f"crc32c={crc32c(b'0123456789')},md5=")
    assert answer.headers["x-goog-meta-disk-sha256"] == "b"
    assert answer.headers["x-goog-stored-content-length"] == "10"
    assert answer.headers["Content-Type"] == "application/x-xz"
    # What the service says where the creator said nothing: stale for an hour.
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    head = scene.get(QUOTED, "HEAD")
    assert (head.content, head.headers["Content-Length"]) == (b"", "10")
    part = scene.get(QUOTED, Range="bytes=2-4")
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert scene.get(QUOTED, Range="bytes=10-").status_code == 416
    assert [one.status for one in scene.seen("GET")][-2:] == [206, 416]


def test_a_generation_can_be_pinned_and_another_is_not_there(scene: GcsScene):
    blob = upload(scene.bucket().blob(NAME), b"x")
    assert scene.get(f"{QUOTED}?generation={blob.generation}").content == b"x"
    assert scene.get(f"{QUOTED}?generation=5").status_code == 404


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["multipart", "resumable"])
def test_a_name_that_is_taken_fails_the_precondition_when_the_upload_ends(scene: GcsScene, content: bytes):
    upload(scene.bucket().blob(NAME), b"first")
    with pytest.raises(exceptions.PreconditionFailed):
        upload(scene.bucket(PUBLISHER).blob(NAME, chunk_size=MIB), content, if_generation_match=0)
    assert scene.get(QUOTED).content == b"first"


def test_two_uploads_begun_at_once_leave_the_one_that_ends_first(scene: GcsScene):
    session = begin(scene, LARGE)
    upload(scene.bucket(PUBLISHER).blob(NAME), b"faster", if_generation_match=0)
    assert requests.put(session, data=LARGE, timeout=10).status_code == 412
    assert scene.get(QUOTED).content == b"faster"


def test_an_account_that_may_only_create_cannot_replace_or_remove(scene: GcsScene):
    upload(scene.bucket(PUBLISHER).blob(NAME), b"first")
    with pytest.raises(exceptions.Forbidden, match="delete"):
        upload(scene.bucket(PUBLISHER).blob(NAME), b"second")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.delete"):
        scene.bucket(PUBLISHER).blob(NAME).delete()
    assert scene.get(QUOTED).content == b"first"
    upload(scene.bucket().blob(NAME), b"second")
    assert scene.get(QUOTED).content == b"second"


def test_a_deletion_keeps_to_its_precondition(scene: GcsScene):
    blob = upload(scene.bucket().blob(NAME), b"x")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=1)
    blob.delete(if_generation_match=blob.generation)
    with pytest.raises(exceptions.NotFound):
        blob.delete()


def test_under_retention_nothing_is_removed_or_replaced(scene: GcsScene):
    bucket = scene.bucket()
    bucket.reload()
    bucket.retention_period = 3600
    bucket.patch()
    blob = upload(bucket.blob(NAME), b"x")
    for change in (blob.delete, lambda: upload(bucket.blob(NAME), b"y")):
        with pytest.raises(exceptions.Forbidden, match="retention policy") as caught:
            change()
        assert caught.value.errors[0]["reason"] == "retentionPolicyNotMet" if caught.value.errors else True
    bucket.lock_retention_policy()
    bucket.retention_period = 10
    with pytest.raises(exceptions.Forbidden, match="locked"):
        bucket.patch()


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["multipart", "resumable"])
def test_a_wrong_checksum_is_refused(scene: GcsScene, content: bytes):
    blob = scene.bucket().blob(NAME, chunk_size=MIB)
    blob.crc32c = crc32c(b"other")
    with pytest.raises(exceptions.BadRequest, match="crc32c"):
        upload(blob, content, checksum=None)
    assert scene.get(QUOTED).status_code == 404


def begin(scene: GcsScene, content: bytes) -> str:
    headers: dict[str, str] = {"X-Upload-Content-Length": str(len(content))}
    credentials = service_account.Credentials.from_service_account_info(scene.key(PUBLISHER), scopes=[SCOPE])
    credentials.refresh(AuthRequest())
    credentials.apply(headers)
    answer = requests.post(
        f"{scene.stand_in.url}{UPLOADS}",
        params={"uploadType": "resumable", "name": NAME, "ifGenerationMatch": "0"},
        headers=headers,
        timeout=10,
    )
    answer.raise_for_status()
    return answer.headers["Location"]


def put(session: str, content: bytes, start: int, total: int | str, **headers: str) -> requests.Response:
    stop = start + len(content)
    about = {"Content-Range": f"bytes {start}-{stop - 1}/{total}", **headers}
    return requests.put(session, data=content, headers=about, timeout=10, allow_redirects=False)


def test_a_session_takes_chunks_in_order_reports_its_size_and_ignores_bytes_it_has_already(scene: GcsScene):
    content = LARGE[: MIB + 5]
    session = begin(scene, content)
    state = lambda: requests.put(session, headers={"Content-Range": "bytes */*"}, timeout=10)  # noqa: E731
    assert (state().status_code, "Range" in state().headers) == (308, False)
    assert put(session, content[: 512 << 10], 0, len(content)).headers["Range"] == "bytes=0-524287"
    assert state().headers["Range"] == "bytes=0-524287"
    assert put(session, content[: 768 << 10], 0, len(content)).headers["Range"] == "bytes=0-786431"
    final = put(session, content[512 << 10 :], 512 << 10, len(content))
    assert (final.status_code, final.json()["size"], final.json()["crc32c"]) == (
        200,
        str(len(content)),
        crc32c(content),
    )
    assert put(session, content[512 << 10 :], 512 << 10, len(content)).json() == final.json()
    assert state().json() == final.json()
    assert scene.get(QUOTED).content == content


def test_a_session_refuses_chunks_that_do_not_fit(scene: GcsScene):
    content = LARGE[:MIB]
    session = begin(scene, content)
    for start, size, total, why in (
        (0, 1000, MIB, "multiple of 262144"),
        (0, 256 << 10, MIB + 1, "total size differs"),
        (512 << 10, 256 << 10, MIB, "exceeds already uploaded size"),
    ):
        answer = put(session, content[start : start + size], start, total)
        assert (answer.status_code, why in answer.text) == (400, True)
    wrong = requests.put(session, data=b"x", headers={"Content-Range": "bytes 5-1/9"}, timeout=10)
    assert (wrong.status_code, "parse Content-Range" in wrong.text) == (400, True)
    assert put(session, content, 0, MIB, **{"x-goog-hash": f"crc32c={crc32c(b'other')}"}).status_code == 400
    assert scene.get(QUOTED).status_code == 404


def test_a_connection_that_breaks_in_a_chunk_leaves_whole_pieces_of_256_kib(scene: GcsScene):
    content = LARGE[: 2 * MIB]
    session = begin(scene, content)

    def held() -> int:
        state = requests.put(session, headers={"Content-Range": "bytes */*"}, timeout=10)
        return int(state.headers.get("Range", "bytes=0--1").removeprefix("bytes=0-")) + 1

    def broken() -> Iterator[bytes]:
        yield content[: MIB + 1000]
        give_up = time.monotonic() + 10
        while held() < MIB and time.monotonic() < give_up:
            pass
        raise KeyboardInterrupt

    about = {"Content-Length": str(len(content)), "Content-Range": whole(content)}
    with pytest.raises(KeyboardInterrupt), httpx.Client() as client:
        client.put(session, content=broken(), headers=about)
    assert held() == MIB
    assert put(session, content, 0, len(content)).status_code == 200
    assert scene.get(QUOTED).content == content


def whole(content: bytes) -> str:
    return f"bytes 0-{len(content) - 1}/{len(content)}"


def test_a_session_ends_after_its_time_or_when_it_is_cancelled(scene: GcsScene):
    session = begin(scene, LARGE)
    assert requests.delete(session, timeout=10).status_code == 499
    assert put(session, LARGE, 0, len(LARGE)).status_code == 404
    session = begin(scene, LARGE)
    scene.stand_in.uploads.expire_sessions()
    assert put(session, LARGE, 0, len(LARGE)).status_code == 410


def test_the_trace_holds_no_session(scene: GcsScene):
    session = begin(scene, b"x")
    put(session, b"x", 0, 1)
    assert "upload_id" not in scene.trace.path.read_text()
    assert session.split("upload_id=")[1] not in scene.trace.path.read_text()


def test_an_account_without_rights_and_an_anonymous_caller_are_distinguished(scene: GcsScene):
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.create"):
        upload(scene.bucket("without-rights").blob(NAME), b"x")
    anonymous = requests.post(f"{scene.stand_in.url}{UPLOADS}?uploadType=media&name=x", data=b"x", timeout=10)
    assert (anonymous.status_code, anonymous.json()["error"]["errors"][0]["reason"]) == (401, "required")
    upload(scene.bucket().blob(NAME), b"x")
    scene.grant((PUBLISHER, "objectCreator"))
    assert scene.get(QUOTED).status_code == 401
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.get"):
        scene.bucket(PUBLISHER).blob(NAME).reload()


def test_without_the_right_to_list_an_absent_object_looks_like_a_forbidden_one(scene: GcsScene):
    assert scene.get("absent").status_code == 404
    scene.grant(("allUsers", "legacyObjectReader"))
    assert scene.get("absent").status_code == 401


def test_rights_in_a_bucket_can_be_tested(scene: GcsScene):
    asked = ["storage.objects.create", "storage.objects.delete", "storage.objects.get"]
    assert scene.bucket(PUBLISHER).test_iam_permissions(asked) == ["storage.objects.create", "storage.objects.get"]
    assert scene.bucket("without-rights").test_iam_permissions(asked) == ["storage.objects.get"]


def test_public_access_prevention_shuts_everyone_out_and_refuses_to_let_them_in(scene: GcsScene):
    upload(scene.bucket().blob(NAME), b"x")
    bucket = scene.bucket()
    bucket.reload()
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    assert scene.get(QUOTED).status_code == 401
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention"):
        scene.grant(("allUsers", "objectViewer"))


def test_buckets_are_made_once_listed_and_removed_when_empty(scene: GcsScene):
    client = scene.client()
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(BUCKET)
    with pytest.raises(exceptions.BadRequest):
        client.create_bucket("No")
    with pytest.raises(exceptions.Forbidden):
        scene.client(PUBLISHER).create_bucket("another-bucket")
    other = client.create_bucket("another-bucket", location="EU")
    assert (other.location, other.iam_configuration.uniform_bucket_level_access_enabled) == ("EU", True)
    assert [one.name for one in client.list_buckets()] == ["another-bucket", BUCKET]
    blob = upload(other.blob("x"), b"x")
    with pytest.raises(exceptions.Conflict):
        other.delete()
    blob.delete()
    other.delete()
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        other.reload()


def test_a_policy_that_changed_since_it_was_read_is_not_replaced(scene: GcsScene):
    policy = scene.bucket().get_iam_policy()
    scene.grant(("allUsers", "objectViewer"))
    with pytest.raises(exceptions.PreconditionFailed):
        scene.bucket().set_iam_policy(policy)


def test_names_are_listed_by_prefix_and_page(scene: GcsScene):
    for name in ("b/2", "b/1", "a", "b/3"):
        upload(scene.bucket().blob(name), b"x")
    found = scene.client(None).list_blobs(BUCKET, prefix="b/", page_size=2)
    assert [one.name for one in found] == ["b/1", "b/2", "b/3"]


def test_objects_rights_and_keys_outlive_a_restart(tmp_path: Path, authority: Authority):
    trace = Trace(tmp_path / "trace.jsonl")
    first = GcsStandIn(tmp_path / "gcs", trace, authority)
    with running(first):
        scene = GcsScene(first, trace)
        scene.client().create_bucket(BUCKET)
        scene.grant(("allUsers", "objectViewer"))
        generation = upload(scene.bucket().blob(NAME), b"kept").generation
    second = GcsStandIn(tmp_path / "gcs", trace, authority, port=first.port)
    with running(second):
        again = GcsScene(second, trace, scene.keys)
        assert again.get(QUOTED).content == b"kept"
        found = again.bucket().get_blob(NAME)
        assert found is not None
        assert found.generation == generation
        with pytest.raises(exceptions.PreconditionFailed):
            upload(again.bucket().blob(NAME), b"other", if_generation_match=0)


def test_a_key_of_another_account_or_a_deleted_one_gets_no_token(scene: GcsScene):
    forged = scene.key("a") | {"private_key": scene.key("b")["private_key"]}
    scene.keys["forged"] = forged
    with pytest.raises(RefreshError, match="invalid_grant"):
        scene.bucket("forged").reload()
    scene.bucket(PUBLISHER).get_blob("absent")
    scene.stand_in.accounts.disable(scene.key(PUBLISHER)["client_email"])
    with pytest.raises(RefreshError, match="invalid_grant"):
        scene.bucket(PUBLISHER).get_blob("absent")


def test_a_token_that_ran_out_is_refused_and_the_client_gets_another(scene: GcsScene):
    bucket = scene.bucket(PUBLISHER)
    upload(bucket.blob("a"), b"x")
    scene.stand_in.accounts.expire_tokens()
    upload(bucket.blob("b"), b"x")
    assert [one.status for one in scene.seen("POST", "gcs-oauth")][-2:] == [200, 200]


@pytest.mark.seconds
def test_faults_are_committed_on_purpose_and_counted(scene: GcsScene):
    scene.fault("POST", UPLOADS, Answer(503, "backendError"), 1)
    scene.fault("POST", UPLOADS, DropAfterCommit(), 2)
    with pytest.raises(exceptions.PreconditionFailed):
        upload(scene.bucket().blob(NAME), b"x", if_generation_match=0)
    assert [one.status for one in scene.seen("POST") if one.path == UPLOADS] == [503, 200, 412]
    assert scene.get(QUOTED).content == b"x"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{UPLOADS}?uploadType=resumable&predefinedAcl=publicRead&name=x", 401),
        ("GET", "/absent-bucket/x", 404),
        ("GET", "/storage/v1/nothing", 404),
        ("POST", "/token", 400),
        ("PUT", f"{UPLOADS}?upload_id=x", 404),
    ],
)
def test_an_invalid_request_is_refused(scene: GcsScene, method: str, path: str, status: int):
    assert requests.request(method, f"{scene.stand_in.url}{path}", timeout=10).status_code == status


def test_object_acls_are_refused_under_uniform_access(scene: GcsScene):
    with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access"):
        upload(scene.bucket().blob(NAME), b"x", predefined_acl="publicRead")


def test_nothing_but_public_keys_is_kept_of_an_account(scene: GcsScene):
    key = scene.key(PUBLISHER)
    kept = "".join(path.read_text() for path in scene.trace.path.parent.rglob("*.json"))
    assert "PUBLIC KEY" in json.dumps(kept)
    assert "PRIVATE KEY" not in kept
    assert key["private_key"].splitlines()[1] not in kept
