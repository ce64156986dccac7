from collections.abc import Iterable
from pathlib import Path

import pytest

from hyops_assets.contract.urls import published_name
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.digests import sha256_of_bytes
from resources.repository.directory import DirectoryRepository
from resources.repository.revisions import (
    AlreadyPublished,
    VersionTaken,
    conflicts_name_a_revision,
    is_published,
    next_free_revision,
    refuse_rebuild,
)

KEY = "vyos-1.5"
FIRST = RecordVersion.parse("2026.03.03-0027-rolling")


def holding(directory: Path, versions: Iterable[tuple[int, str]]) -> DirectoryRepository:
    repository = DirectoryRepository(directory)
    for revision, suffix in versions:
        put(repository, RecordVersion(FIRST.release, revision), suffix)
    return repository


def put(repository: DirectoryRepository, version: RecordVersion, suffix: str, content: bytes = b"x") -> None:
    name = published_name(KEY, version, suffix)
    repository.create(name, content, sha256=sha256_of_bytes(content), content_type="text/plain", metadata={})


@pytest.mark.parametrize(
    ("held", "free"),
    [
        ([], 2),
        ([(1, "record.json")], 2),
        ([(1, "record.json"), (2, "record.json"), (3, "record.json")], 4),
        ([(1, "record.json"), (2, "qcow2")], 3),
        ([(1, "record.json"), (3, "record.json")], 2),
    ],
    ids=["nothing", "first", "three", "half-published", "gap"],
)
def test_the_next_revision_is_one_none_of_whose_names_is_taken(
    tmp_path: Path, held: list[tuple[int, str]], free: int
) -> None:
    assert next_free_revision(holding(tmp_path, held), KEY, FIRST).revision == free


def test_another_keys_records_take_no_name(tmp_path: Path) -> None:
    repository = holding(tmp_path, [(1, "record.json"), (2, "record.json")])
    assert next_free_revision(repository, "vyos-1.4", FIRST).revision == 2


def test_a_published_version_is_not_built_again_and_the_free_revision_is_named(tmp_path: Path) -> None:
    repository = holding(tmp_path, [(1, "record.json"), (2, "record.json")])
    with pytest.raises(AlreadyPublished, match="rebuild_if_exists does not replace") as refusal:
        refuse_rebuild(repository, KEY, FIRST)
    assert refusal.value.hint.endswith(f"record_version: {FIRST}-r3")
    refuse_rebuild(repository, KEY, RecordVersion(FIRST.release, 3))


def test_a_half_published_version_is_not_published(tmp_path: Path) -> None:
    repository = holding(tmp_path, [(1, "qcow2"), (1, "raw.xz")])
    assert not is_published(repository, KEY, FIRST)
    refuse_rebuild(repository, KEY, FIRST)


def test_a_name_with_other_bytes_is_an_error_that_names_the_free_revision(tmp_path: Path) -> None:
    repository = holding(tmp_path, [(1, "qcow2"), (2, "qcow2")])
    with pytest.raises(VersionTaken, match="published with other bytes") as refusal:  # noqa: SIM117
        with conflicts_name_a_revision(repository, KEY, FIRST):
            put(repository, FIRST, "qcow2", b"other")
    assert refusal.value.hint.endswith(f"record_version: {FIRST}-r3")
    assert (tmp_path / published_name(KEY, FIRST, "qcow2")).read_bytes() == b"x"
