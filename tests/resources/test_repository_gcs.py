import base64
import hashlib
import io
import logging
import multiprocessing
import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import pytest

from hyops_assets.contract.errors import HyopsError, Refused, TransientError
from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, Delay, DropAfterCommit, Pretend
from resources.answers import Untrusted
from resources.buckets import proven_source
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import BadObjectName
from resources.repository import gcs, gcs_upload
from resources.repository.base import NotPublic, ObjectConflict, ObjectMissing, Published, RepositoryFailed
from resources.repository.gcs import GcsRepository
from resources.repository.gcs_errors import Damaged, NotPermitted, NotVisible, SessionLost, Unavailable
from resources.repository.gcs_upload import FOREVER, Patience
from resources.repository.marker import MARKER, MARKER_NAME, MARKER_NAMES
from tests.gcs_scene import BUCKET, PUBLISHER, UPLOADS, GcsScene, gcs_scene, trust
from tests.killing import killed_at_each_line
from tests.ui.served import wait_until

NAME = "network/vyos/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2"
KIB = 1 << 10
CHUNK = 256 * KIB
SMALL = b"disk" * 1000
LARGE = os.urandom(9 << 20)
"""More than Google's client sends in one request."""
IMPATIENT = Patience(deadline_seconds=2, first_delay_seconds=0.01, answer_seconds=5)
TYPE = "application/x-qemu-disk"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(repository: GcsRepository, content: bytes = SMALL, name: str = NAME) -> Published:
    return repository.create(
        name, content, sha256=sha256(content), content_type=TYPE, metadata={"disk-sha256": "d", "record": "r"}
    )


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    return authority


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[GcsScene]:
    with gcs_scene(tmp_path, authority) as scene:
        yield scene


def repository_of(scene: GcsScene, who: str = PUBLISHER, patience: Patience = IMPATIENT) -> GcsRepository:
    return GcsRepository(
        lambda: scene.client(who),
        scene.client(None),
        BUCKET,
        public_base_url=f"{scene.stand_in.url}/{BUCKET}",
        principal=scene.email(who),
        patience=patience,
        chunk_bytes=8 * CHUNK,
    )


@pytest.fixture
def repository(scene: GcsScene) -> GcsRepository:
    return repository_of(scene)


@pytest.fixture
def proven(repository: GcsRepository) -> GcsRepository:
    """A repository that has proven itself: from here on, requests are those of the object at hand."""
    repository.require_public()
    return repository


def objects(scene: GcsScene) -> list[str]:
    return [blob.name for blob in scene.client().list_blobs(BUCKET) if blob.name != MARKER_NAME]


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "one request", "resumable"])
def test_an_object_is_created_once_and_then_adopted_without_a_change(scene: GcsScene, content: bytes):
    repository = repository_of(scene)
    first = publish(repository, content)
    writes = scene.writes
    second = publish(repository_of(scene), content)
    assert (first.outcome, first.size_bytes, first.bytes_sent) == ("created", len(content), len(content))
    assert (second.outcome, second.size_bytes, second.bytes_sent) == ("adopted", len(content), 0)
    assert scene.writes == writes
    assert first.url == second.url == f"{scene.stand_in.url}/{BUCKET}/{NAME}"
    assert scene.get(NAME).content == content


def test_an_anonymous_reader_sees_type_digests_and_that_it_may_be_cached_for_ever(
    scene: GcsScene, repository: GcsRepository
):
    publish(repository)
    headers = scene.get(NAME, "HEAD").headers
    assert headers["Cache-Control"] == FOREVER == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == TYPE
    assert headers["x-goog-meta-sha256"] == sha256(SMALL)
    assert (headers["x-goog-meta-disk-sha256"], headers["x-goog-meta-record"]) == ("d", "r")


def test_an_absent_object_is_said_where_anonymous_readers_may_not_list(scene: GcsScene):
    scene.grant((PUBLISHER, "objectCreator"), (PUBLISHER, "objectViewer"), ("allUsers", "legacyObjectReader"))
    assert scene.get("absent").status_code == 401
    with pytest.raises(ObjectMissing):
        repository_of(scene).read_anonymous("absent")


def test_without_a_public_base_url_the_contract_has_the_service_s_own(scene: GcsScene):
    repository = GcsRepository(lambda: scene.client(), scene.client(None), BUCKET)
    assert repository.url(NAME) == f"https://storage.googleapis.com/{BUCKET}/{NAME}"
    assert repository.url("a~/b+c") == f"https://storage.googleapis.com/{BUCKET}/a~/b%2Bc"


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "resumable"])
def test_a_name_taken_by_other_bytes_is_a_conflict_that_names_the_way_out(
    scene: GcsScene, repository: GcsRepository, content: bytes
):
    publish(repository, b"first")
    with pytest.raises(ObjectConflict, match=r"make a revision.*-r2") as caught:
        publish(repository, content)
    assert sha256(b"first") in str(caught.value)
    assert sha256(content) in str(caught.value)
    assert scene.get(NAME).content == b"first"


def test_equal_digests_beside_other_bytes_are_a_conflict(scene: GcsScene, repository: GcsRepository):
    blob = scene.bucket().blob(NAME)
    blob.metadata = {"sha256": sha256(SMALL)}
    blob.upload_from_string(b"damaged")
    with pytest.raises(ObjectConflict, match="7 bytes"):
        publish(repository)


def test_an_object_put_there_by_hand_is_read_before_it_is_adopted(scene: GcsScene, repository: GcsRepository):
    scene.bucket().blob(NAME).upload_from_string(SMALL)
    assert publish(repository).outcome == "adopted"

    def reads() -> list[int]:
        return [one.answer_bytes for one in scene.seen("GET") if one.path == f"/{BUCKET}/{NAME}"]

    # How many bytes an answer had is written down when it has ended, which its reader may see first.
    wait_until("the read is written down", lambda: bool(reads()), within=10)
    assert reads() == [len(SMALL)]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "resumable"])
def test_bytes_that_are_not_the_promised_ones_are_not_published(
    scene: GcsScene, repository: GcsRepository, tmp_path: Path, content: bytes
):
    source = tmp_path / "source"
    source.write_bytes(content)
    with pytest.raises(DigestMismatch, match=str(source)):
        repository.create(NAME, source, sha256=sha256(b"before"), content_type=TYPE, metadata={})
    assert objects(scene) == []


def test_a_file_that_is_cut_while_it_is_read_is_not_published(
    scene: GcsScene, repository: GcsRepository, tmp_path: Path
):
    source = tmp_path / "source"
    source.write_bytes(LARGE)

    def cut(_: str, done: int, __: int | None) -> None:
        if done > 0:
            os.truncate(source, done)

    with pytest.raises(DigestMismatch, match="end after"):
        repository.create(NAME, source, sha256=sha256(LARGE), content_type=TYPE, metadata={}, progress=cut)
    assert objects(scene) == []


def test_progress_tells_what_was_sent_and_can_cancel(scene: GcsScene, proven: GcsRepository):
    steps: list[tuple[str, int, int | None]] = []
    source = LARGE
    proven.create(
        NAME, source, sha256=sha256(source), content_type=TYPE, metadata={}, progress=lambda *step: steps.append(step)
    )
    assert steps[0] == ("publish", 0, len(LARGE))
    assert steps[-1] == ("publish", len(LARGE), len(LARGE))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)

    def cancel(_: str, done: int, __: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proven.create("other", source, sha256=sha256(source), content_type=TYPE, metadata={}, progress=cancel)
    assert objects(scene) == [NAME]


@pytest.mark.parametrize("name", ["", "a/../b", "a//b", ".hidden", "a b", "a\n", "ä"])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_asked(
    scene: GcsScene, repository: GcsRepository, name: str
):
    asked = len(scene.seen())
    for use in (lambda: publish(repository, name=name), lambda: repository.head(name), lambda: repository.url(name)):
        with pytest.raises(BadObjectName):
            use()
    assert len(scene.seen()) == asked


def test_head_tells_what_the_creator_noted(repository: GcsRepository):
    assert repository.head(NAME) is None
    publish(repository)
    facts = repository.head(NAME)
    assert facts is not None
    assert (facts.size_bytes, facts.sha256, facts.content_type) == (len(SMALL), sha256(SMALL), TYPE)
    assert dict(facts.metadata) == {"disk-sha256": "d", "record": "r"}


def test_names_are_listed_by_prefix(repository: GcsRepository):
    publish(repository, name="network/vyos/b")
    publish(repository, name="network/vyos/a")
    publish(repository, name="other")
    assert repository.list("network/vyos/a") == ["network/vyos/a"]
    assert repository.list("") == ["network/vyos/a", "network/vyos/b", MARKER_NAME, "other"]


def test_an_anonymous_reader_reads_back_what_was_published(scene: GcsScene, repository: GcsRepository):
    url = publish(repository, LARGE).url
    steps: list[tuple[int, int | None]] = []
    found = repository.read_anonymous(url, progress=lambda _, done, total: steps.append((done, total)))
    assert found == repository.read_anonymous(NAME) == (sha256(LARGE), len(LARGE))
    assert steps[-1] == (len(LARGE), len(LARGE))
    with pytest.raises(ObjectMissing):
        repository.read_anonymous("network/vyos/absent")
    for elsewhere in ("https://elsewhere.example/x", f"{url}?generation=1", f"{scene.stand_in.url}/other/{NAME}"):
        with pytest.raises(Refused):
            repository.read_anonymous(elsewhere)


# --- answers that get lost, late or wrong


def test_a_lost_answer_to_our_own_success_is_adopted(scene: GcsScene, proven: GcsRepository):
    scene.fault("POST", UPLOADS, DropAfterCommit())
    published = publish(proven)
    assert (published.outcome, published.bytes_sent) == ("adopted", len(SMALL))
    assert [one.status for one in scene.seen("POST") if one.path == UPLOADS][-2:] == [200, 412]
    assert scene.get(NAME).content == SMALL


@pytest.mark.parametrize("nth", [1, 2, 5], ids=["first chunk", "second chunk", "last chunk"])
def test_a_lost_answer_to_a_chunk_is_asked_again_and_nothing_is_sent_twice_into_the_object(
    scene: GcsScene, proven: GcsRepository, nth: int
):
    scene.fault("PUT", UPLOADS, DropAfterCommit(), nth)
    assert publish(proven, LARGE).outcome == "created"
    assert scene.get(NAME).content == LARGE


def test_someone_faster_with_equal_bytes_is_adopted_and_with_others_refused(scene: GcsScene):
    for name, theirs in (("equal", LARGE), ("other", b"theirs")):
        slow, fast = repository_of(scene), repository_of(scene)

        def overtaken(_: str, done: int, __: int | None, *, fast=fast, name=name, theirs=theirs) -> None:
            if done == 8 * CHUNK:
                publish(fast, theirs, name)

        create = lambda slow=slow, name=name, overtaken=overtaken: slow.create(  # noqa: E731
            name, LARGE, sha256=sha256(LARGE), content_type=TYPE, metadata={}, progress=overtaken
        )
        if theirs == LARGE:
            assert (create().outcome, create().bytes_sent) == ("adopted", 0)
        else:
            with pytest.raises(ObjectConflict):
                create()
        assert scene.get(name).content == theirs


@pytest.mark.seconds
@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_busy_service_is_asked_again(scene: GcsScene, proven: GcsRepository, status: int, method: str):
    scene.fault(method, UPLOADS, Answer(status, "backendError"), 1, 2)
    assert publish(proven, LARGE).outcome == "created"
    assert scene.get(NAME).content == LARGE


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_service_that_stays_busy_is_given_up_at_the_deadline_and_a_later_run_succeeds(scene: GcsScene, method: str):
    repository = repository_of(scene, patience=Patience(deadline_seconds=0.5, first_delay_seconds=0.05))
    repository.require_public()
    path = f"/storage/v1/b/{BUCKET}/o/{NAME}" if method == "GET" else UPLOADS
    scene.stand_in.faults.rules.clear()
    scene.fault(method, path, Answer(503, "backendError", "come back later"), *range(1, 100))
    with pytest.raises(Unavailable, match="come back later") as caught:
        publish(repository, LARGE)
    assert isinstance(caught.value, TransientError)
    # Of the hundred busy answers that stood ready, a few were asked for within its half second.
    assert 1 < sum(one.status == 503 for one in scene.trace.requests()) < 100
    assert objects(scene) == []
    scene.stand_in.faults.rules.clear()
    assert publish(repository, LARGE).outcome == "created"


@pytest.mark.seconds
def test_a_service_that_does_not_answer_is_given_up(scene: GcsScene):
    repository = repository_of(
        scene, patience=Patience(deadline_seconds=0.5, first_delay_seconds=0.05, answer_seconds=0.2)
    )
    scene.fault("GET", ".*", Delay(0.5), *range(1, 100))
    with pytest.raises(Unavailable, match="could not look up"):
        publish(repository)


def test_a_session_that_the_service_forgets_is_begun_anew_three_times_at_most(scene: GcsScene, proven: GcsRepository):
    scene.fault("PUT", UPLOADS, Answer(410, "uploadBroken"), 3)
    assert publish(proven, LARGE).outcome == "created"
    assert scene.get(NAME).content == LARGE
    scene.fault("PUT", UPLOADS, Answer(404, "notFound"), *range(1, 100))
    with pytest.raises(SessionLost):
        publish(proven, LARGE, "other")
    assert objects(scene) == [NAME]


def test_a_checksum_that_differs_removes_nothing_least_of_all_another_s_object(scene: GcsScene, proven: GcsRepository):
    """The service says that it holds other bytes; by then someone else's object has the name."""
    scene.fault("PUT", UPLOADS, Pretend(), 5)

    def overtaken(_: str, done: int, __: int | None) -> None:
        if done == 8 * CHUNK:
            scene.bucket().blob(NAME).upload_from_string(b"another's")

    with pytest.raises(Damaged, match="another checksum"):
        proven.create(NAME, LARGE, sha256=sha256(LARGE), content_type=TYPE, metadata={}, progress=overtaken)
    assert scene.seen("DELETE") == []
    assert scene.get(NAME).content == b"another's"
    with pytest.raises(ObjectConflict):
        publish(proven, LARGE)


def test_google_s_client_by_itself_would_remove_it(scene: GcsScene):
    """What the test above guards against: the day this fails, the guard may go."""
    from google.cloud.storage.exceptions import DataCorruption

    scene.fault("PUT", UPLOADS, Pretend(), 5)
    blob = scene.bucket().blob(NAME, chunk_size=8 * CHUNK)

    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() == 8 * CHUNK:
                scene.bucket().blob(NAME).upload_from_string(b"another's")
            return super().read(size)

    with pytest.raises(DataCorruption):
        blob.upload_from_file(Overtaken(LARGE), size=len(LARGE), if_generation_match=0, checksum="crc32c")
    assert scene.get(NAME).status_code == 404


def test_a_server_of_an_unknown_authority_is_not_believed_and_not_asked_again(
    scene: GcsScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository = repository_of(scene, patience=Patience(deadline_seconds=30, first_delay_seconds=5))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path / "stranger").certificate_file))
    before = len(scene.trace.requests())
    with pytest.raises(Untrusted, match="REQUESTS_CA_BUNDLE"):
        repository.head(NAME)
    assert len(scene.trace.requests()) == before


# --- what the bucket and the credentials allow


def test_a_bucket_proves_itself_once_and_before_anything_large_is_sent(scene: GcsScene, repository: GcsRepository):
    repository.require_public()
    marker = scene.get(MARKER_NAME)
    assert (marker.content, marker.headers["Cache-Control"]) == (MARKER, "no-store")
    repository_of(scene).require_public()
    publish(repository, LARGE)
    posts = [one.status for one in scene.seen("POST") if one.path == UPLOADS]
    # The marker, found there by the second; the object; and no marker again for the repository that knows.
    assert posts == [200, 412, 200]


def test_foreign_bytes_under_the_read_checks_name_block_no_publication(scene: GcsScene, repository: GcsRepository):
    scene.bucket().blob(MARKER_NAME).upload_from_string(b"none of ours\n")
    publish(repository)
    assert scene.get(MARKER_NAME).content == b"none of ours\n"
    assert scene.get(MARKER_NAMES[1]).content == MARKER


def test_a_bucket_that_strangers_cannot_read_is_found_before_the_upload(scene: GcsScene, repository: GcsRepository):
    scene.grant((PUBLISHER, "objectCreator"), (PUBLISHER, "objectViewer"))
    with pytest.raises(NotPublic, match="anonymous readers cannot read") as caught:
        publish(repository, LARGE)
    assert caught.value.hint.startswith(
        f"gcloud storage buckets add-iam-policy-binding gs://{BUCKET} "
        "--member=allUsers --role=roles/storage.legacyObjectReader"
    )
    # Who may not look at the bucket's settings is told of both reasons.
    assert f"gcloud storage buckets update gs://{BUCKET} --no-public-access-prevention" in caught.value.hint
    assert scene.seen("PUT") == [one for one in scene.seen("PUT") if one.path.endswith("/iam")]
    assert objects(scene) == []
    scene.grant((PUBLISHER, "objectCreator"), (PUBLISHER, "objectViewer"), ("allUsers", "objectViewer"))
    assert publish(repository, LARGE).outcome == "created"


def test_prevented_public_access_is_reported_where_the_credentials_may_see_it(scene: GcsScene):
    bucket = scene.bucket()
    bucket.reload()
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    repository = repository_of(scene, "owner")
    with pytest.raises(NotPublic) as caught:
        publish(repository)
    assert caught.value.hint.startswith(f"gcloud storage buckets update gs://{BUCKET} --no-public-access-prevention,")
    assert objects(scene) == []


def test_who_may_only_create_publishes_adopts_and_learns_of_a_conflict(scene: GcsScene):
    scene.grant((PUBLISHER, "objectCreator"), ("allUsers", "objectViewer"))
    assert publish(repository_of(scene), LARGE).outcome == "created"
    assert publish(repository_of(scene), LARGE).outcome == "adopted"
    with pytest.raises(ObjectConflict):
        publish(repository_of(scene), SMALL)


def test_where_anonymous_readers_may_read_and_not_list_the_upload_itself_tells_whether_a_name_is_free(scene: GcsScene):
    scene.grant((PUBLISHER, "objectCreator"), ("allUsers", "legacyObjectReader"))
    repository = repository_of(scene)
    with pytest.raises(NotVisible, match="anonymous readers may not either") as caught:
        repository.head(NAME)
    assert f"--member=serviceAccount:{scene.email(PUBLISHER)} --role=roles/storage.objectViewer" in caught.value.hint
    with pytest.raises(NotPermitted, match="list the objects"):
        repository.list("")
    assert publish(repository).outcome == "created"
    assert publish(repository_of(scene)).outcome == "adopted"


def test_who_may_only_create_in_a_closed_bucket_gets_a_message(scene: GcsScene):
    scene.grant((PUBLISHER, "objectCreator"))
    for _ in range(2):
        with pytest.raises(NotPublic, match="anonymous readers cannot read") as caught:
            publish(repository_of(scene), LARGE)
        assert "--member=allUsers" in caught.value.hint
    assert objects(scene) == []


def test_an_account_that_may_not_write_learns_the_command_that_lets_it(scene: GcsScene):
    with pytest.raises(NotPermitted, match=r"storage\.objects\.create") as caught:
        publish(repository_of(scene, "reader"), LARGE)
    assert caught.value.hint == (
        f"gcloud storage buckets add-iam-policy-binding gs://{BUCKET} "
        f"--member=serviceAccount:{scene.email('reader')} --role=roles/storage.objectCreator"
    )
    assert isinstance(caught.value, RepositoryFailed)
    assert objects(scene) == []


def test_a_bucket_that_is_not_there_is_reported_with_the_command_that_makes_it(scene: GcsScene):
    repository = GcsRepository(
        lambda: scene.client("owner"), scene.client(None), "hyops-absent-a1", patience=IMPATIENT
    )
    for use in (lambda: publish(repository, LARGE), repository.require_public, lambda: repository.list("")):
        with pytest.raises(RepositoryFailed, match="bucket does not exist") as caught:
            use()
        assert caught.value.hint.startswith("gcloud storage buckets create gs://hyops-absent-a1 ")


def test_a_public_base_url_that_serves_something_else_is_found(scene: GcsScene):
    scene.client().create_bucket("another-bucket")
    repository = GcsRepository(
        lambda: scene.client("owner"),
        scene.client(None),
        BUCKET,
        public_base_url=f"{scene.stand_in.url}/another-bucket",
        patience=IMPATIENT,
    )
    with pytest.raises(NotPublic):
        publish(repository, LARGE)
    assert objects(scene) == []


def test_a_key_that_was_deleted_is_reported_without_its_content(scene: GcsScene, repository: GcsRepository):
    scene.stand_in.accounts.disable(scene.key(PUBLISHER)["client_email"])
    with pytest.raises(RepositoryFailed, match="does not accept the credentials") as caught:
        publish(repository)
    assert "keys list" in caught.value.hint
    assert scene.key(PUBLISHER)["private_key"].splitlines()[1] not in traceback_of(caught.value)


def test_under_retention_an_object_is_adopted_as_ever(scene: GcsScene):
    bucket = scene.bucket()
    bucket.reload()
    bucket.retention_period = 3600
    bucket.patch()
    assert publish(repository_of(scene)).outcome == "created"
    assert publish(repository_of(scene)).outcome == "adopted"
    with pytest.raises(ObjectConflict):
        publish(repository_of(scene, "owner"), b"other")


# --- secrets


def traceback_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "fault",
    [Answer(503, "backendError"), Answer(400, "invalid"), Answer(410, "uploadBroken"), DropAfterCommit(), Pretend()],
    ids=repr,
)
def test_no_session_stands_in_an_error_a_log_or_a_trace(
    scene: GcsScene, caplog: pytest.LogCaptureFixture, fault: Answer | DropAfterCommit | Pretend
):
    caplog.set_level(logging.DEBUG)
    for name in ("google", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    repository = repository_of(scene, patience=Patience(deadline_seconds=0.3, first_delay_seconds=0.01))
    repository.require_public()
    lost = isinstance(fault, DropAfterCommit)
    scene.fault("PUT", UPLOADS, fault, *range(5, 6 if lost else 100))
    if lost:
        publish(repository, LARGE)
        told = ""
    else:
        with pytest.raises(Exception, match="could not publish") as caught:
            publish(repository, LARGE)
        told = traceback_of(caught.value)
        assert caught.value.__context__ is None or "upload_id" not in traceback_of(caught.value.__context__)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "upload_id=" in logged
    for text in (told, logged, scene.trace.path.read_text()):
        assert not [word for word in text.split("upload_id=")[1:] if not word.startswith("…")]


# --- killed, and many at once


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("content", "every"),
    [
        pytest.param(SMALL, 31, id="one request"),
        pytest.param(SMALL, 7, id="one request, every 7th line", marks=pytest.mark.long),
        pytest.param(LARGE[: (8 << 20) + 5], 97, id="resumable"),
        pytest.param(LARGE[: (8 << 20) + 5], 29, id="resumable, every 29th line", marks=pytest.mark.long),
    ],
)
def test_killed_at_any_line_it_shows_all_or_nothing_and_a_rerun_completes_it(
    scene: GcsScene, content: bytes, every: int
):
    repository_of(scene).require_public()
    work = lambda: publish(repository_of(scene), content)  # noqa: E731
    left: list[int] = []
    for _ in killed_at_each_line(work, gcs, gcs_upload, proven_source, every=every):
        found = scene.get(NAME)
        left.append(found.status_code)
        assert found.status_code == 404 or found.content == content
        assert publish(repository_of(scene), content).outcome in ("created", "adopted")
        assert scene.get(NAME).content == content
        scene.bucket().blob(NAME).delete()
    assert len(left) > 150 // every
    # Of every 29th line, whether one lies behind the last byte is chance.
    assert set(left) == {404, 200} if every < 10 else 404 in left


def test_killed_in_the_middle_of_the_bytes_it_leaves_no_object(scene: GcsScene):
    child = multiprocessing.get_context("fork").Process(target=publish_and_hang, args=(scene,))
    child.start()
    while not [one for one in scene.seen("PUT") if one.path == UPLOADS]:
        time.sleep(0.05)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert objects(scene) == []
    assert publish(repository_of(scene), LARGE).outcome == "created"


def publish_and_hang(scene: GcsScene) -> None:
    def hang(_: str, done: int, __: int | None) -> None:
        if done >= 8 * CHUNK:
            signal.pause()

    repository_of(scene).create(NAME, LARGE, sha256=sha256(LARGE), content_type=TYPE, metadata={}, progress=hang)


@pytest.mark.seconds
def test_of_fifty_writers_with_two_contents_one_wins_and_the_others_adopt_or_are_refused(scene: GcsScene):
    repository = repository_of(scene)
    contents = [b"a" * 50_000, b"b" * 50_000] * 25

    def contend(content: bytes) -> str:
        try:
            return publish(repository, content).outcome
        except ObjectConflict:
            return "refused"

    with ThreadPoolExecutor(50) as threads:
        outcomes = Counter(threads.map(contend, contents))
    assert outcomes == {"created": 1, "adopted": 24, "refused": 25}
    assert scene.get(NAME).content in contents


def test_the_source_is_hashed_once_however_often_it_is_read(tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    with proven_source.proven(source, sha256(LARGE)) as stream:
        assert stream.read(CHUNK) == LARGE[:CHUNK]
        stream.seek(5)
        assert stream.read(2 * CHUNK) == LARGE[5 : 5 + 2 * CHUNK]
        assert stream.bytes_read == 5 + 2 * CHUNK
        assert stream.read() == LARGE[5 + 2 * CHUNK :]
        expected = google_crc32c.Checksum(LARGE).digest()
        assert base64.b64encode(stream.crc32c().to_bytes(4, "big")) == base64.b64encode(expected)
    with proven_source.proven(b"", sha256(b"")) as stream:
        assert stream.crc32c() == 0
    refused: list[Callable[[], object]] = [stream.read, stream.crc32c]
    for use in refused:
        with proven_source.proven(b"", sha256(b"x")) as stream, pytest.raises(DigestMismatch):
            getattr(stream, use.__name__)()


@pytest.mark.parametrize(
    ("grants", "error", "member"),
    [
        ((("allUsers", "legacyObjectReader"),), NotPermitted, "serviceAccount:"),
        (((PUBLISHER, "objectCreator"),), NotPublic, "allUsers"),
    ],
    ids=["no-right-to-add", "closed"],
)
def test_a_repository_that_is_not_ready_is_found_without_writing(
    scene: GcsScene,
    repository: GcsRepository,
    grants: tuple[tuple[str, str], ...],
    error: type[HyopsError],
    member: str,
) -> None:
    scene.grant(*grants)
    before = scene.writes
    with pytest.raises(error) as caught:
        repository.require_ready()
    assert f"gcloud storage buckets add-iam-policy-binding gs://{BUCKET} --member={member}" in caught.value.hint
    assert scene.writes == before


def test_a_repository_that_is_ready_needs_no_more_than_creating_and_reading(
    scene: GcsScene, repository: GcsRepository
) -> None:
    scene.grant((PUBLISHER, "objectCreator"), ("allUsers", "legacyObjectReader"))
    before = scene.writes
    repository.require_ready()
    assert scene.writes == before


def test_a_bucket_that_is_not_there_is_found_without_writing(scene: GcsScene) -> None:
    repository = GcsRepository(lambda: scene.client(), scene.client(None), "hyops-nobody-has-this")
    with pytest.raises(RepositoryFailed, match="bucket does not exist") as caught:
        repository.require_ready()
    assert "gcloud storage buckets create gs://hyops-nobody-has-this" in caught.value.hint
