"""What a publish command answers is not believed. That a whole record is published by one is seen in the graph."""

import json
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.operator_command import OperatorCommand
from hyops_assets.settings.pipeline import Settings
from resources.buckets.create_only import DigestMismatch
from resources.buckets.names import BadObjectName
from resources.repository.base import ObjectMissing
from resources.repository.command_repository import CommandRepository
from resources.repository.resource import command_repository

RELEASE = "2026.03.03-0027-rolling"
NAME = f"network/vyos/vyos-1.5-{RELEASE}.qcow2"


def repository(tmp_path: Path, line: str, **options: object) -> CommandRepository:
    return CommandRepository(
        OperatorCommand(line, **options),  # pyright: ignore[reportArgumentType]
        notes=tmp_path / "notes",
        below=tmp_path,
        scratch=tmp_path / "scratch",
        keys=["vyos-1.5", "vyos-1.5-stream"],
        variables={"HYOPS_VYOS_REPO_BACKEND": "gcs"},
    )


def create(tmp_path: Path, line: str, name: str = NAME, **options: object) -> None:
    content = b"bytes"
    repository(tmp_path, line, **options).create(
        name, content, sha256=sha256_of_bytes(content), content_type="text/plain", metadata={}
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("true", "not one URL"),
        ("echo uploading; echo https://example.org/x.qcow2", "not one URL"),
        ("echo https://example.org/vyos-latest.qcow2", "moves"),
        (f"echo gs://bucket/vyos-1.5-{RELEASE}.qcow2", "gs://"),
        (f"echo 'https://example.org/vyos-1.5-{RELEASE}.qcow2?X-Goog-Signature=abcdef'", "signed"),
        (f"echo https://example.org/other-{RELEASE}.qcow2", "under the file's own name"),
        (f"echo http://example.org/vyos-1.5-{RELEASE}.qcow2", "under https"),
        ("echo upload failed >&2; exit 4", "exit status 4"),
        ("head -c 100000 /dev/zero | tr '\\0' x", "printed 100000 bytes"),
    ],
    ids=["nothing", "two-lines", "mutable", "gs", "signed", "name", "http", "failed", "flood"],
)
def test_a_wrong_answer_publishes_nothing(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(HyopsError, match=said):
        create(tmp_path, line)
    assert repository(tmp_path, line).head(NAME) is None
    assert repository(tmp_path, line).list("") == []


def test_a_command_learns_what_it_publishes(tmp_path: Path) -> None:
    with pytest.raises(HyopsError, match="not one URL"):
        create(tmp_path, f"env -0 > {tmp_path}/env", name=f"network/vyos/vyos-1.5-{RELEASE}-r2.sbom-1-2.cdx.json")
    told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if line)
    assert told["HYOPS_VYOS_ARTIFACT_KEY"] == "vyos-1.5"
    assert told["HYOPS_VYOS_ARTIFACT_VERSION"] == f"{RELEASE}-r2"
    assert told["HYOPS_VYOS_ARTIFACT_FORMAT"] == "sbom-1-2.cdx.json"
    assert told["HYOPS_VYOS_REPO_BACKEND"] == "gcs"


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ({"kind": "gcs", "bucket": "records"}, ("gcs", "records", "")),
        ({"kind": "s3", "bucket": "records", "region": "eu-central-1"}, ("s3", "", "records")),
        ({}, ("", "", "")),
    ],
    ids=["gcs", "s3", "directory"],
)
def test_a_command_gets_the_bucket_under_the_name_of_its_kind(
    tmp_path: Path, repository: dict[str, str], expected: tuple[str, str, str]
) -> None:
    settings = Settings.model_validate({"repository": repository})
    command = OperatorCommand(f"env -0 > {tmp_path}/env", None, [])
    content = b"bytes"
    with pytest.raises(HyopsError, match="not one URL"):
        command_repository(command, settings, RuntimeRoot(tmp_path)).create(
            NAME, content, sha256=sha256_of_bytes(content), content_type="text/plain", metadata={}
        )
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().split("\0") if line)
    names = ("HYOPS_VYOS_REPO_BACKEND", "HYOPS_VYOS_GCS_BUCKET", "HYOPS_VYOS_S3_BUCKET")
    assert tuple(environment.get(name, "") for name in names) == expected


def test_a_key_given_inline_is_a_file_in_memory_and_stands_in_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = json.dumps({"type": "service_account", "private_key": "-----BEGIN X-----\nc2VjcmV0LXNlY3JldC1zZWNyZXQ\n"})
    monkeypatch.setenv("HYOPS_VYOS_GCS_SA_JSON", key)
    monkeypatch.setenv("UPLOAD_TOKEN", "hunter22-hunter22")
    look = f'wc -c < "$HYOPS_VYOS_GCS_SA_JSON_FILE" > {tmp_path}/length; cat "$HYOPS_VYOS_GCS_SA_JSON_FILE" >&2; '
    with pytest.raises(HyopsError) as failed:
        create(tmp_path, look + 'echo; echo "$UPLOAD_TOKEN" >&2; exit 5', environment=["UPLOAD_TOKEN"])
    assert int((tmp_path / "length").read_text()) == len(key)
    assert "c2VjcmV0" not in str(failed.value)
    assert "hunter22-hunter22" not in str(failed.value)


def test_a_name_of_no_record_other_bytes_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadObjectName, match="no object of a record"):
        create(tmp_path, "true", name="network/vyos/index.json")
    with pytest.raises(DigestMismatch):
        repository(tmp_path, "true").create(NAME, b"bytes", sha256="0" * 64, content_type="text/plain", metadata={})
    with pytest.raises(ObjectMissing):
        repository(tmp_path, "true").read_anonymous(NAME)
    with pytest.raises(HyopsError, match="NOT_SET_ANYWHERE"):
        create(tmp_path, "true", environment=["NOT_SET_ANYWHERE"])
