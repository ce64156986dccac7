import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings
from hyops_lab.authority import Authority
from resources.environment import environment
from resources.repository.base import ObjectRepository, Published
from resources.repository.directory import DirectoryRepository
from resources.repository.gcs import GcsRepository
from resources.repository.gcs_clients import NoCredentials, gcs_repository
from resources.repository.gcs_key import KEY_ENV, KEY_FILE_ENV, BadKey, service_account_key
from resources.repository.resource import object_repository, repository_resource
from resources.settings import save_settings
from tests.gcs_scene import BUCKET, PUBLISHER, GcsScene, gcs_scene, trust

SHA256_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(tmp_path / "authority")
    trust(authority, monkeypatch)
    # No credentials of the user who runs the tests.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "home"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    return authority


@pytest.fixture
def scene(tmp_path: Path, authority: Authority) -> Iterator[GcsScene]:
    with gcs_scene(tmp_path, authority) as scene:
        yield scene


def settings_of(scene: GcsScene, *, endpoint: bool = True) -> RepositorySettings:
    return RepositorySettings(
        kind="gcs",
        bucket=BUCKET,
        endpoint=scene.stand_in.url if endpoint else None,
        public_base_url=f"{scene.stand_in.url}/{BUCKET}",
    )


def publish(repository: GcsRepository) -> Published:
    return repository.create("x", b"x", sha256=SHA256_OF_X, content_type="text/plain", metadata={})


def file_with(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_a_key_given_inline_publishes_and_touches_no_disk(scene: GcsScene, tmp_path: Path):
    key = json.dumps(scene.key(PUBLISHER))
    repository = gcs_repository(settings_of(scene), {KEY_ENV: key})
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert publish(repository).outcome == "created"
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.parent.name for path in written - before - {scene.trace.path}} <= {"content", "objects"}
    secret = scene.key(PUBLISHER)["private_key"].splitlines()[1]
    assert not [path for path in written if secret.encode() in path.read_bytes()]
    assert secret not in f"{repository!r} {vars(repository)!r}"


def test_a_file_comes_before_an_inline_key(scene: GcsScene, tmp_path: Path):
    path = file_with(tmp_path / "key.json", scene.key(PUBLISHER))
    found = service_account_key({KEY_FILE_ENV: path, KEY_ENV: json.dumps(scene.key("other"))})
    assert found is not None
    assert found.service_account_email == scene.email(PUBLISHER)
    inline = service_account_key({KEY_FILE_ENV: " ", KEY_ENV: json.dumps(scene.key("other"))})
    assert inline is not None
    assert inline.service_account_email == scene.email("other")
    assert service_account_key({}) is None


def test_a_file_that_is_named_and_wrong_is_not_passed_over(scene: GcsScene, tmp_path: Path):
    good = json.dumps(scene.key(PUBLISHER))
    with pytest.raises(BadKey, match=rf"{KEY_FILE_ENV} names .*absent.json, which cannot be read: No such file"):
        service_account_key({KEY_FILE_ENV: str(tmp_path / "absent.json"), KEY_ENV: good})
    with pytest.raises(BadKey, match=rf"{KEY_FILE_ENV} .*it is not a JSON object"):
        service_account_key({KEY_FILE_ENV: file_with(tmp_path / "bad.json", "s3cret"), KEY_ENV: good})


def test_line_ends_that_a_shell_put_into_the_key_do_no_harm(scene: GcsScene):
    broken = json.dumps(scene.key(PUBLISHER)).replace("\\n", "\n")
    assert service_account_key({KEY_ENV: broken}) is not None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"private_key": "s3cret', "it is not a JSON object"),
        ('["s3cret"]', "it is not a JSON object"),
        ("[" * 100_000 + "s3cret", "it is not a JSON object"),
        ('{"type": "authorized_user", "refresh_token": "s3cret"}', "its type is not service_account"),
        ('{"type": "service_account", "private_key": "s3cret"}', "it lacks client_email, token_uri"),
        (
            '{"type": "service_account", "private_key": "s3cret", "client_email": "a@b", "token_uri": "http://s3cret"}',
            "its token_uri, where it logs in, is no https URL of a service",
        ),
        (
            '{"type": "service_account", "private_key": "s3cret", "client_email": "a@b", "token_uri": "https://t"}',
            "its private_key is not a private key in PEM",
        ),
        (
            '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\ns3cret\\n'
            '-----END PRIVATE KEY-----", "client_email": "a@b", "token_uri": "https://t"}',
            "its private_key is not a private key in PEM",
        ),
    ],
)
def test_what_is_no_key_is_reported_by_the_variable_s_name_and_never_by_its_content(content: str, why: str):
    with pytest.raises(BadKey) as caught:
        service_account_key({KEY_ENV: content})
    assert caught.value.message == f"the variable {KEY_ENV} is no service account key: {why}"
    printed = "".join(traceback.format_exception(caught.value))
    assert "s3cret" not in printed
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.seconds
def test_without_a_key_it_is_application_default_credentials(
    scene: GcsScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = file_with(tmp_path / "adc.json", scene.key(PUBLISHER))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
    # The variable by which Google's library itself is pointed at another endpoint, with credentials.
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", scene.stand_in.url)
    assert publish(gcs_repository(settings_of(scene, endpoint=False), {})).outcome == "created"
    assert [one.status for one in scene.seen("POST", "gcs-oauth")][-1] == 200


def test_without_any_credentials_it_is_said_how_to_get_some(scene: GcsScene):
    with pytest.raises(NoCredentials, match=BUCKET) as caught:
        publish(gcs_repository(settings_of(scene, endpoint=False), {}))
    assert caught.value.hint == f"set {KEY_FILE_ENV} or {KEY_ENV}, or run gcloud auth application-default login"
    with pytest.raises(NoCredentials, match=r"repository\.endpoint"):
        publish(gcs_repository(settings_of(scene), {}))


def test_who_only_reads_what_is_published_needs_no_credentials(scene: GcsScene):
    publish(gcs_repository(settings_of(scene), {KEY_ENV: json.dumps(scene.key(PUBLISHER))}))
    with closing(gcs_repository(settings_of(scene), {})) as repository:
        assert repository.read_anonymous(repository.url("x")) == (SHA256_OF_X, 1)


def test_the_graph_s_resource_is_closed_after_a_run(scene: GcsScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY_ENV, json.dumps(scene.key(PUBLISHER)))
    root = RuntimeRoot(tmp_path / "root")
    save_settings(root, Settings(repository=settings_of(scene)), heading="a test")

    @dg.op
    def publishes(repository: dg.ResourceParam[ObjectRepository]) -> str:
        return repository.create("x", b"x", sha256=SHA256_OF_X, content_type="text/plain", metadata={}).outcome

    @dg.job(resource_defs={"environment": environment(root), "repository": repository_resource()})
    def job() -> None:
        publishes()

    assert job.execute_in_process().output_for_node("publishes") == "created"


def test_nothing_is_asked_before_the_repository_is_used(scene: GcsScene):
    asked = len(scene.trace.requests())
    gcs_repository(settings_of(scene), {KEY_ENV: json.dumps(scene.key(PUBLISHER))})
    assert len(scene.trace.requests()) == asked


def test_no_log_holds_the_key_a_token_or_an_assertion(scene: GcsScene, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for name in ("google", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    publish(gcs_repository(settings_of(scene), {KEY_ENV: json.dumps(scene.key(PUBLISHER))}))
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "Making request" in logged
    for secret in (scene.key(PUBLISHER)["private_key"].splitlines()[1], "ya29.", "eyJ"):
        assert secret not in logged


def test_the_settings_name_the_repository(scene: GcsScene, tmp_path: Path):
    root = RuntimeRoot(tmp_path / "root")
    environ = {KEY_ENV: json.dumps(scene.key(PUBLISHER))}
    bucket = object_repository(settings_of(scene), root, environ)
    assert isinstance(bucket, GcsRepository)
    assert bucket.bucket == BUCKET
    directory = object_repository(RepositorySettings(), root, environ)
    assert isinstance(directory, DirectoryRepository)
    assert directory.directory == root.repository


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kind": "gcs"}, "kind gcs needs the setting repository.bucket"),
        ({"kind": "gcs", "bucket": "b-1", "directory": "/srv/objects"}, "kind gcs has no repository.directory"),
        ({"bucket": "b-1"}, "kind directory has no repository.bucket"),
        ({"kind": "gcs", "bucket": "gs://b-1"}, "bucket"),
        ({"kind": "gcs", "bucket": "Capitals"}, "bucket"),
        ({"kind": "gcs", "bucket": "b-1", "endpoint": "http://storage.example"}, "endpoint"),
        ({"kind": "gcs", "bucket": "b-1", "endpoint": "https://user:pw@storage.example"}, "endpoint"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, str], why: str):
    with pytest.raises(ValueError, match=why):
        RepositorySettings.model_validate(given)
