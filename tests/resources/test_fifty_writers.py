"""Fifty writers of one version: one record, whichever wins; the others adopt it, or are given a free revision."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.digests import sha256_of_bytes
from hyops_lab.authority import Authority
from resources.repository.base import ObjectRepository
from resources.repository.directory import DirectoryRepository
from resources.repository.gcs import GcsRepository
from resources.repository.revisions import VersionTaken, conflicts_name_a_revision
from tests import gcs_scene, s3_scene

pytestmark = pytest.mark.seconds

WRITERS = 50
KEY = "vyos-1.5"
VERSION = RecordVersion.parse("2026.03.03-0027-rolling")
SUFFIXES = ("qcow2", "raw.xz", "record.json")
"""As they are published: the record, which is the commit point, last."""


@pytest.fixture(params=["directory", "gcs", "s3"])
def repository(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectRepository]:
    if request.param == "directory":
        yield DirectoryRepository(tmp_path / "objects")
        return
    authority = Authority(tmp_path / "authority")
    gcs_scene.trust(authority, monkeypatch)
    s3_scene.trust(authority, monkeypatch)
    if request.param == "s3":
        with s3_scene.s3_scene(tmp_path, authority) as service:
            yield service.repository()
        return
    with gcs_scene.gcs_scene(tmp_path, authority) as scene:
        yield GcsRepository(
            scene.client,
            scene.client(None),
            gcs_scene.BUCKET,
            public_base_url=f"{scene.stand_in.url}/{gcs_scene.BUCKET}",
        )


def publish(repository: ObjectRepository, content: bytes) -> str:
    """Publish a record's files; return the outcome of its record, or the revision that a refusal names."""
    outcome = ""
    try:
        with conflicts_name_a_revision(repository, KEY, VERSION):
            for suffix in SUFFIXES:
                outcome = repository.create(
                    published_name(KEY, VERSION, suffix),
                    content,
                    sha256=sha256_of_bytes(content),
                    content_type="application/octet-stream",
                    metadata={},
                ).outcome
    except VersionTaken as taken:
        named = re.search(r"record_version: (\S+)", taken.hint)
        return named[1] if named else taken.hint
    return outcome


def outcomes(repository: ObjectRepository, contents: list[bytes]) -> Counter[str]:
    with ThreadPoolExecutor(len(contents)) as writers:
        return Counter(writers.map(lambda content: publish(repository, content), contents))


def only_record(repository: ObjectRepository) -> str:
    """The digest of the one record that stands there, of which every file is the same writer's."""
    names = repository.list(published_name(KEY, VERSION, ""))
    assert names == sorted(published_name(KEY, VERSION, suffix) for suffix in SUFFIXES)
    (digest,) = {repository.read_anonymous(name)[0] for name in names}
    return digest


def test_equal_bytes_are_created_once_and_adopted_by_all_others(repository: ObjectRepository) -> None:
    assert outcomes(repository, [b"disk"] * WRITERS) == {"created": 1, "adopted": WRITERS - 1}
    assert only_record(repository) == sha256_of_bytes(b"disk")


def test_of_fifty_different_records_one_is_published_and_the_others_learn_the_free_revision(
    repository: ObjectRepository,
) -> None:
    contents = [f"disk of writer {writer}".encode() for writer in range(WRITERS)]
    assert outcomes(repository, contents) == {"created": 1, f"{VERSION}-r2": WRITERS - 1}
    assert only_record(repository) in {sha256_of_bytes(content) for content in contents}
