import os
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.publishable import require_publishable
from hyops_assets.contract.urls import BadUrl
from hyops_assets.contract.version import RecordVersion
from hyops_assets.image.adoption import AdoptedDisk, NotAdopted, adopt_disk
from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.image.variants.encoded import NotADisk
from tests.image.conftest import RELEASE

pytestmark = pytest.mark.seconds

VERSION = RecordVersion.parse(RELEASE)
URL = f"https://images.example.net/network/vyos/vyos-1.5-{RELEASE}.qcow2"


@pytest.fixture(scope="module")
def published(built: tuple[Path, BuiltDisk], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("published")
    qcow2.encode(built[0], directory / "vyos.qcow2")
    rawxz.encode(built[0], directory / "vyos.raw.xz")
    return {"qcow2": directory / "vyos.qcow2", "raw.xz": directory / "vyos.raw.xz", "raw": built[0]}


@pytest.fixture
def adopt(tmp_path: Path) -> Any:
    def adopted(file: Path, **changes: Any) -> AdoptedDisk:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        arguments = {
            "version": VERSION,
            "most_bytes": 8 << 30,
            "destination": tmp_path / "disk.raw",
            "scratch": scratch,
            **changes,
        }
        try:
            return adopt_disk(file, **arguments)
        finally:
            assert list(scratch.iterdir()) == []

    return adopted


@pytest.mark.parametrize("format_", ["qcow2", "raw.xz", "raw"])
def test_a_disk_that_was_built_elsewhere_is_taken_over_byte_for_byte(
    format_: str, adopt: Any, published: dict[str, Path], built: tuple[Path, BuiltDisk]
) -> None:
    file = published[format_]
    taken = adopt(file, sha256=sha256_of_file(file).upper())
    assert taken.disk == built[1].disk
    assert (taken.format, taken.file_sha256) == (format_, sha256_of_file(file))


def test_its_evidence_says_that_nothing_is_known_of_its_build(adopt: Any, published: dict[str, Path]) -> None:
    file = published["qcow2"]
    facts = adopt(file, sha256=sha256_of_file(file), url=URL).facts
    assert (facts["method"], facts["iso"], facts["reproducible"]) == ("adopted", None, False)
    assert facts["source"]["url"] == URL
    assert "built elsewhere" in facts["note"]
    assert str(file.parent) not in str(facts)
    require_publishable(facts)


@pytest.mark.parametrize("sha256", [None, ""])
def test_a_url_without_a_digest_is_refused(sha256: str | None, adopt: Any, published: dict[str, Path]) -> None:
    with pytest.raises(NotAdopted, match="without record_sha256"):
        adopt(published["qcow2"], url=URL, sha256=sha256)


@pytest.mark.parametrize(
    "url", [URL.replace(RELEASE, "latest"), URL.replace("https", "gs"), f"{URL}?X-Goog-Signature=1"]
)
def test_a_url_that_may_not_stand_in_a_contract_is_refused(url: str, adopt: Any, published: dict[str, Path]) -> None:
    with pytest.raises(BadUrl):
        adopt(published["qcow2"], url=url, sha256=sha256_of_file(published["qcow2"]))


def test_other_bytes_than_those_named_are_refused(adopt: Any, published: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(NotAdopted, match="not 0000"):
        adopt(published["qcow2"], sha256="0" * 64)
    assert not (tmp_path / "disk.raw").exists()


def test_a_disk_of_another_release_is_refused(adopt: Any, published: dict[str, Path], tmp_path: Path) -> None:
    other = RecordVersion.parse("2026.04.13-0034-rolling")
    with pytest.raises(NotAdopted, match=rf"holds the release {RELEASE}, not 2026\.04\.13"):
        adopt(published["qcow2"], version=other)
    assert not (tmp_path / "disk.raw").exists()


def test_a_disk_with_a_partition_table_and_no_vyos_is_refused(adopt: Any, tmp_path: Path) -> None:
    disk = tmp_path / "other.raw"
    disk.write_bytes(bytes(510) + b"\x55\xaa" + bytes((1 << 20) - 512))
    with pytest.raises(NotAdopted, match="holds no VyOS image that can be read"):
        adopt(disk)


def test_a_disk_of_more_bytes_than_is_taken_over_is_refused_before_any_is_read(
    adopt: Any, published: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyops_assets.image.adoption.sha256_of_file", pytest.fail)
    for file in published.values():
        with pytest.raises(NotADisk, match=r"one of up to 1048576 is taken over"):
            adopt(file, most_bytes=1 << 20)


def test_what_is_no_regular_file_is_refused_before_it_is_opened(adopt: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "disk.qcow2"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(NotADisk, match="is no file"):
            adopt(path)


def test_a_file_that_is_no_disk_is_refused(adopt: Any, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(510) + b"\0\0" * 257)
    with pytest.raises(BuildFailed, match="no partition table"):
        adopt(noise)
