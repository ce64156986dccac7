"""A bucket of S3 that is not as it should be, a service that fails in the middle, and what is sent how often."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.settings.repository import RepositorySettings
from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, DropAfterCommit
from hyops_lab.s3.store import Conduct
from resources.answers import Untrusted
from resources.buckets import s3, s3_conditions, s3_parts
from resources.buckets.base import BucketFailed, BucketUnavailable, Changed
from resources.buckets.s3 import S3Bucket
from resources.buckets.s3_client import KEY, KEY_ID, TOKEN, NoCredentials, Patience, s3_client
from resources.buckets.s3_conditions import PROBE_NAME, NotConditional
from resources.repository.base import NotPublic, ObjectConflict, Published, RepositoryFailed
from resources.repository.marker import MARKER_NAME
from resources.repository.resource import object_repository
from resources.repository.s3 import S3Repository
from resources.secrets import MissingSecret, UnusableSecret
from tests.killing import killed_at_each_line
from tests.s3_scene import BUCKET, IMPATIENT, PART_BYTES, PUBLISHER, S3Scene, s3_scene, trust

pytestmark = pytest.mark.seconds

NAME = "network/vyos/vyos-1.5-2026.03.03-0027-rolling-r2.qcow2"
SMALL = b"disk" * 1000
LARGE = os.urandom(11 << 20)
TYPE = "application/x-qemu-disk"
OTHER = "another-bucket"
PATH = f"/{BUCKET}/{NAME}"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    return authority


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[S3Scene]:
    with s3_scene(tmp_path, authority) as scene:
        yield scene


def publish(repository: S3Repository, content: bytes = SMALL, name: str = NAME) -> Published:
    return repository.create(
        name,
        content,
        sha256=sha256_of_bytes(content),
        content_type=TYPE,
        metadata={"record": "r"},
    )


def of_object(scene: S3Scene, method: str, path: str = PATH) -> list[int]:
    """The statuses of the requests for one object."""
    return [one.status for one in scene.seen(method) if one.path == path]


# Buckets


def test_a_bucket_without_conditional_writes_is_refused_before_anything_is_published(scene: S3Scene) -> None:
    held = scene.provide(Conduct(creates_once=False))
    repository = scene.repository(OTHER)
    with pytest.raises(RepositoryFailed, match=r"ignores If-None-Match.*written twice"):
        repository.require_public()
    with pytest.raises(RepositoryFailed, match="ignores If-None-Match"):
        publish(repository)
    assert held.names() == [PROBE_NAME]


def test_a_bucket_that_completes_uploads_without_a_condition_gets_large_objects_in_one_request(scene: S3Scene) -> None:
    held = scene.provide(Conduct(completes_once=False))
    assert publish(scene.repository(OTHER), LARGE).outcome == "created"
    assert of_object(scene, "PUT", f"/{OTHER}/{NAME}") == [200]
    assert not held.uploads
    with pytest.raises(ObjectConflict):
        publish(scene.repository(OTHER), LARGE[:-1])
    assert held.get(NAME).content == LARGE


def test_what_is_too_large_for_one_request_is_refused_there(scene: S3Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MOST_BYTES_AT_ONCE", 10 << 20)
    held = scene.provide(Conduct(completes_once=False))
    with pytest.raises(RepositoryFailed, match="more than one request takes"):
        publish(scene.repository(OTHER), LARGE)
    assert held.find(NAME) is None


def test_a_bucket_that_does_not_compare_swaps_nothing(scene: S3Scene) -> None:
    held = scene.provide(Conduct(compares=False))
    with pytest.raises(NotConditional, match="ignores If-Match"):
        scene.bucket(OTHER).replace("state", b"1", expected=None)
    assert held.names() == [PROBE_NAME]


def test_a_service_that_takes_a_tag_without_its_quotes_gets_it_so(scene: S3Scene) -> None:
    scene.provide(Conduct(reads_quotes=False))
    first = scene.bucket(OTHER).replace("state", b"1", expected=None)
    assert scene.bucket(OTHER).replace("state", b"2", expected=first) != first
    with pytest.raises(Changed):
        scene.bucket(OTHER).replace("state", b"3", expected=first)


def test_a_bucket_that_may_only_be_read_is_not_taken_for_a_private_one(scene: S3Scene) -> None:
    scene.provide(Conduct(frozen=True))
    with pytest.raises(RepositoryFailed, match=r"AccessDenied.*(?s:.)*s3:PutObject"):
        publish(scene.repository(OTHER))
    with pytest.raises(RepositoryFailed, match="AccessDenied"):
        publish(scene.repository(who=scene.key("AKIALABREADER0000001", may_write=False)))
    private = scene.provide(Conduct(public=False), "a-private-bucket")
    with pytest.raises(NotPublic, match=r"put-bucket-policy.*s3:GetObject") as caught:
        publish(scene.repository("a-private-bucket"))
    assert private.find(NAME) is None
    assert "a-private-bucket" in caught.value.hint


@pytest.mark.parametrize("conduct", [Conduct(object_lock=True), Conduct(versioned=True)], ids=["locked", "versioned"])
def test_object_lock_and_versions_change_nothing(scene: S3Scene, conduct: Conduct) -> None:
    held = scene.provide(conduct)
    for content in (SMALL, LARGE):
        name = f"{NAME}.{len(content)}"
        assert publish(scene.repository(OTHER), content, name).outcome == "created"
        assert publish(scene.repository(OTHER), content, name).outcome == "adopted"
        with pytest.raises(ObjectConflict):
            publish(scene.repository(OTHER), b"other", name)
        assert [one.content for one in held.versions(name)] == [content]


def test_a_bucket_of_another_region_is_reached_where_the_service_names_it_and_else_said(scene: S3Scene) -> None:
    scene.provide(Conduct(region="hel1"))
    assert publish(scene.repository(OTHER)).outcome == "created"
    scene.provide(Conduct(region="hel1", names_region=False), "a-silent-bucket")
    with pytest.raises(RepositoryFailed, match="AuthorizationHeaderMalformed"):
        publish(scene.repository("a-silent-bucket"))
    assert publish(scene.repository("a-silent-bucket", region="hel1")).outcome == "created"


def test_a_clock_ten_minutes_off_does_and_one_twenty_minutes_off_is_named(scene: S3Scene) -> None:
    scene.stand_in.clock = lambda: time.time() + 600
    assert publish(scene.repository()).outcome == "created"
    scene.stand_in.clock = lambda: time.time() - 1200
    with pytest.raises(RepositoryFailed, match=r"clock and the service's differ by 1[12]\d\d s"):
        publish(scene.repository(), name=f"{NAME}.2")


def test_a_bucket_that_is_not_there_is_said_with_the_command_that_makes_it(scene: S3Scene) -> None:
    with pytest.raises(RepositoryFailed, match=r"there is no bucket s3://nothing-here(?s:.)*create-bucket"):
        scene.repository("nothing-here").require_ready()


def test_foreign_bytes_under_the_probe_s_name_are_left_alone(scene: S3Scene) -> None:
    scene.held.put(PROBE_NAME, b"foreign", {}, {})
    with pytest.raises(RepositoryFailed, match="has other bytes"):
        publish(scene.repository())
    assert scene.held.get(PROBE_NAME).content == b"foreign"


def test_an_object_that_came_in_parts_has_another_tag_and_is_adopted_by_its_digest(scene: S3Scene) -> None:
    publish(scene.repository(), LARGE)
    held = scene.bucket().head(NAME)
    assert held is not None
    assert held.tag.endswith('-3"')
    assert publish(scene.repository(), LARGE).outcome == "adopted"


def test_an_object_put_there_by_hand_is_adopted_by_its_bytes(scene: S3Scene) -> None:
    scene.held.put(NAME, SMALL, {"Content-Type": "text/plain"}, {})
    scene.held.put(f"{NAME}.2", SMALL[:-1] + b"x", {"Content-Type": "text/plain"}, {})
    assert publish(scene.repository()).outcome == "adopted"
    with pytest.raises(ObjectConflict):
        publish(scene.repository(), name=f"{NAME}.2")


# Failures in the middle


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
def test_a_lost_answer_to_our_own_success_is_no_conflict(scene: S3Scene, content: bytes) -> None:
    scene.repository().require_public()
    scene.fault("PUT" if content is SMALL else "POST", PATH, DropAfterCommit(), 1 if content is SMALL else 2)
    published = publish(scene.repository(), content)
    assert (published.outcome, published.bytes_sent) == ("adopted", len(content))
    assert scene.held.get(NAME).content == content


def test_a_lost_answer_to_our_own_swap_is_no_change_by_another(scene: S3Scene) -> None:
    first = scene.bucket().replace("state", b"1", expected=None)
    scene.fault("PUT", f"/{BUCKET}/state", DropAfterCommit())
    second = scene.bucket().replace("state", b"2", expected=first)
    assert scene.held.get("state").etag == second
    with pytest.raises(Changed):
        scene.bucket().replace("state", b"3", expected=first)


def test_a_service_that_asks_to_come_later_is_worth_another_try(scene: S3Scene) -> None:
    scene.repository().require_public()
    scene.fault("PUT", PATH, Answer(503, "SlowDown"), 1)
    assert publish(scene.repository()).outcome == "created"
    scene.fault("PUT", f"{PATH}.2", Answer(503, "SlowDown"), *range(1, 9))
    with pytest.raises(BucketUnavailable) as caught:
        publish(scene.repository(), name=f"{NAME}.2")
    assert isinstance(caught.value, TransientError)


def test_two_writers_at_once_are_no_error(scene: S3Scene) -> None:
    scene.repository().require_public()
    scene.fault("PUT", PATH, Answer(409, "ConditionalRequestConflict"), 1)
    assert publish(scene.repository()).outcome == "created"


def test_of_a_killed_upload_no_part_is_sent_again(scene: S3Scene) -> None:
    scene.repository().require_public()

    def die_in_the_last_part(_: str, done: int, __: int | None) -> None:
        if done >= 2 * PART_BYTES:
            os.kill(os.getpid(), signal.SIGKILL)

    def upload_until_killed() -> None:
        scene.repository().create(
            NAME,
            LARGE,
            sha256=sha256_of_bytes(LARGE),
            content_type=TYPE,
            metadata={"record": "r"},
            progress=die_in_the_last_part,
        )

    child = get_context("fork").Process(target=upload_until_killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert of_object(scene, "PUT") == [200, 200]
    assert publish(scene.repository(), LARGE).outcome == "created"
    assert of_object(scene, "PUT") == [200, 200, 200]
    assert scene.held.get(NAME).content == LARGE
    assert not list((scene.directory / "uploads").iterdir())


def test_an_upload_that_the_service_forgot_begins_anew(scene: S3Scene) -> None:
    scene.repository().require_public()
    scene.fault("PUT", PATH, Answer(404, "NoSuchUpload"), 2)
    assert publish(scene.repository(), LARGE).outcome == "created"
    scene.fault("PUT", f"{PATH}.2", Answer(404, "NoSuchUpload"), *range(1, 9))
    with pytest.raises(BucketUnavailable, match="lost 3 times"):
        publish(scene.repository(), LARGE, f"{NAME}.2")


def test_parts_that_another_client_mixed_in_never_get_into_the_object(scene: S3Scene) -> None:
    scene.repository().require_public()

    def mix(_: str, done: int, __: int | None) -> None:
        # Into the first upload; a later one is begun anew.
        if done == 2 * PART_BYTES and len(scene.held.uploads) == 1:
            for upload in scene.held.uploads.values():
                upload.parts[1] = b"x" * PART_BYTES

    repository = scene.repository()
    made = repository.create(NAME, LARGE, sha256=sha256_of_bytes(LARGE), content_type="x", metadata={}, progress=mix)
    assert made.outcome == "created"
    assert scene.held.get(NAME).content == LARGE


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["one request", "parts"])
def test_killed_at_its_lines_it_shows_all_or_nothing_and_a_rerun_completes_it(scene: S3Scene, content: bytes) -> None:
    scene.repository().require_public()
    kills = 0
    for _ in killed_at_each_line(lambda: publish(scene.repository(), content), s3, s3_conditions, s3_parts, every=23):
        kills += 1
        found = scene.held.find(NAME)
        assert found is None or found.content == content
        assert publish(scene.repository(), content).outcome in ("created", "adopted")
        scene.held.remove(NAME)
    assert kills > 1


# Whose rights


def connect(scene: S3Scene, **environ: str) -> S3Bucket:
    return S3Bucket(lambda: s3_client(scene.stand_in.url, None, environ, IMPATIENT), BUCKET)


def test_without_a_key_nothing_is_asked_and_the_way_to_one_is_said(
    scene: S3Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(NoCredentials, match=KEY_ID):
        connect(scene).head(NAME)
    with pytest.raises(MissingSecret, match=KEY):
        connect(scene, **{KEY_ID: PUBLISHER}).head(NAME)
    with pytest.raises(UnusableSecret, match="line break") as caught:
        connect(scene, **{KEY_ID: PUBLISHER, KEY: "half-of-it\nother-half"}).head(NAME)
    assert "half" not in str(caught.value)
    monkeypatch.setenv("AWS_PROFILE", "of-no-file")
    with pytest.raises(BucketFailed, match="of-no-file"):
        connect(scene).head(NAME)
    assert scene.seen() == []


def test_the_settings_name_the_bucket_and_the_environment_its_key(
    scene: S3Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ID, PUBLISHER)
    monkeypatch.setenv(KEY, scene.keys[PUBLISHER])
    settings = RepositorySettings(kind="s3", bucket=BUCKET, endpoint=scene.stand_in.url)
    with closing(object_repository(settings, RuntimeRoot(tmp_path), os.environ)) as repository:
        assert isinstance(repository, S3Repository)
        assert publish(repository).url == f"{scene.stand_in.url}/{BUCKET}/{NAME}"
        assert repository.read_anonymous(NAME).size_bytes == len(SMALL)


def test_a_key_in_the_file_of_aws_own_tools_serves(
    scene: S3Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[lab]\naws_access_key_id = {PUBLISHER}\naws_secret_access_key = {scene.keys[PUBLISHER]}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    bundle = {"AWS_CA_BUNDLE": os.environ["AWS_CA_BUNDLE"]}
    assert connect(scene, **bundle).head(NAME) is None


def test_a_key_that_is_not_accepted_is_named_and_stands_in_no_message(scene: S3Scene) -> None:
    scene.keys["AKIALABUNKNOWN000001"] = "a-secret-that-is-not-known"
    with pytest.raises(RepositoryFailed, match=r"InvalidAccessKeyId(?s:.)*both of one key") as unknown:
        scene.repository(who="AKIALABUNKNOWN000001").require_ready()
    scene.keys[PUBLISHER] = "a-secret-that-is-not-its-own"
    with pytest.raises(RepositoryFailed, match=r"SignatureDoesNotMatch(?s:.)*both of one key") as wrong:
        scene.repository().require_ready()
    assert "a-secret" not in f"{unknown.value} {wrong.value}"


def test_no_log_has_a_session_s_token_at_whatever_level(scene: S3Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    environ = {**os.environ, KEY_ID: PUBLISHER, KEY: scene.keys[PUBLISHER], TOKEN: "a-token-of-a-session"}
    assert S3Bucket(lambda: s3_client(scene.stand_in.url, None, environ, IMPATIENT), BUCKET).head(NAME) is None
    assert "a-token-of-a-session" not in caplog.text
    assert scene.keys[PUBLISHER] not in caplog.text + scene.trace.path.read_text()


def test_a_service_of_an_unknown_authority_is_not_believed(
    scene: S3Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(Authority(tmp_path / "another").certificate_file))
    with pytest.raises(Untrusted, match="AWS_CA_BUNDLE"):
        scene.bucket().head(NAME)


def test_an_exchange_has_an_end(scene: S3Scene) -> None:
    environ = {**os.environ, KEY_ID: PUBLISHER, KEY: scene.keys[PUBLISHER]}
    late = Patience(attempts=1, whole_seconds=0.0)
    with pytest.raises(BucketUnavailable, match="Read timeout"):
        S3Bucket(lambda: s3_client(scene.stand_in.url, None, environ, late), BUCKET).head(NAME)


def test_a_service_that_is_gone_is_worth_another_try(scene: S3Scene) -> None:
    environ = {**os.environ, KEY_ID: PUBLISHER, KEY: scene.keys[PUBLISHER]}
    with pytest.raises(HyopsError) as caught:
        S3Bucket(lambda: s3_client("https://127.0.0.1:9", None, environ, IMPATIENT), BUCKET).head(NAME)
    assert isinstance(caught.value, BucketUnavailable)


def test_the_marker_is_not_cached_and_a_record_is_for_ever(scene: S3Scene) -> None:
    publish(scene.repository())
    assert scene.held.get(MARKER_NAME).headers["Cache-Control"] == "no-store"
    assert scene.held.get(NAME).headers["Cache-Control"] == "public, max-age=31536000, immutable"
