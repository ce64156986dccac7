"""A record that others published is read, verified, and seeded under its own URLs; nothing is published again."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hyops_assets.cli.graph import Graph, RunFailed
from hyops_assets.cli.modules.artifact import registration
from hyops_assets.contract.canonical import canonical_json
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import BadInputs, read_inputs
from hyops_assets.contract.references import IMAGE_ARTIFACT
from hyops_assets.contract.register_inputs import ArtifactInputs
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.variants import qcow2, rawxz
from hyops_lab.cli.lab import SITE
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.clouds import HETZNER, PROXMOX

STATE = "core__shared__vyos-image-artifact/latest.json"
BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
QCOW2, RAW_XZ, DOCUMENT = (f"vyos-1.5-{RELEASE}.{suffix}" for suffix in ("qcow2", "raw.xz", "record.json"))


@pytest.fixture(scope="module")
def theirs(seeded: LabEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another pipeline published: both variants and the record's document."""
    store = ArtifactStore(seeded.root.artifacts)
    record = store.read_document("published_contract", RELEASE, Contract).record
    directory = tmp_path_factory.mktemp("theirs")
    for variant in record.variants.values():
        shutil.copy(store.blob(variant.sha256), directory / variant.file_name)
    (directory / DOCUMENT).write_bytes(canonical_json(record) + b"\n")
    return directory


@pytest.fixture
def shelf(home: LabEnvironment, theirs: Path) -> "Shelf":
    return Shelf(home, theirs)


class Shelf:
    """A web server's directory with what others published, and a graph that has built nothing."""

    def __init__(self, home: LabEnvironment, theirs: Path) -> None:
        self.home = home
        self.directory = home.lab.files.objects / "theirs"
        self.directory.mkdir(parents=True)
        for file in theirs.iterdir():
            shutil.copy(file, self.directory)
        self.before = home.published()
        base = home.settings.repository.public_base_url
        assert base is not None
        self.base = f"{base.rstrip('/')}/theirs"

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    def sha256(self, name: str) -> str:
        return sha256_of_file(self.directory / name)

    def variants(self) -> dict[str, Any]:
        named = {"qcow2": QCOW2, "raw.xz": RAW_XZ}
        return {format_: {"url": self.url(name), "sha256": self.sha256(name)} for format_, name in named.items()}

    def register(self, graph: Graph | None = None, **given: Any) -> Any:
        inputs = read_inputs(IMAGE_ARTIFACT, ArtifactInputs, {"record_version": RELEASE, **given})
        return (graph or self.home.graph()).register(RELEASE, registration(inputs)).metadata["published_contract"]

    @property
    def outputs(self) -> dict[str, Any]:
        return self.home.state(STATE)["outputs"]

    def read_count(self, name: str) -> int:
        return sum(request.path.endswith(name) for request in self.home.lab.files.trace().requests())


def refused(shelf: Shelf, said: str, **given: Any) -> None:
    with pytest.raises(RunFailed, match=said):
        shelf.register(**given)
    assert not (shelf.home.root.states / STATE).exists()
    assert ArtifactStore(shelf.home.root.artifacts).find_document("published_contract", RELEASE, Contract) is None


def test_a_record_by_its_document_is_registered_and_seeded_at_both_clouds(
    shelf: Shelf, seeded: LabEnvironment
) -> None:
    graph = shelf.home.graph()
    said = shelf.register(graph, record_document_url=shelf.url(DOCUMENT))
    assert (said["outcome"], said["warnings"]) == ("registered", [])
    assert [shelf.read_count(name) for name in (DOCUMENT, QCOW2, RAW_XZ)] == [1, 1, 1]
    built = seeded.state(BUILD)["outputs"]
    assert set(shelf.outputs) == set(built) | {"source_iso_url"}
    assert shelf.outputs["record_digest"] == built["record_digest"]
    assert shelf.outputs["record_url"] == shelf.url(QCOW2)
    assert shelf.outputs["record_variants"]["raw.xz"]["url"] == shelf.url(RAW_XZ)
    assert (shelf.outputs["evidence_url"], shelf.outputs["sbom_url"]) == (None, None)

    shelf.home.seed_everywhere(graph)
    assert shelf.home.published() == shelf.before
    template = shelf.home.state("core__onprem__vyos-template-seed/latest.json")["outputs"]
    image = shelf.home.state("core__hetzner__vyos-image-seed/latest.json")["outputs"]
    assert template["template_source_url"] == shelf.url(QCOW2)
    assert image["image_source_url"] == shelf.url(RAW_XZ)
    checks = [dg.AssetCheckKey(dg.AssetKey(name), "lineage_holds") for name in ("proxmox_template", "hetzner_image")]
    checks.append(dg.AssetCheckKey(dg.AssetKey("published_contract"), "anonymous_read_back"))
    latest = shelf.home.instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    assert [str(latest[key].status) for key in checks] == ["AssetCheckExecutionRecordStatus.SUCCEEDED"] * 3


def test_one_qcow2_without_its_digest_is_hashed_and_serves_proxmox_only(shelf: Shelf) -> None:
    graph = shelf.home.graph()
    said = shelf.register(graph, record_url=shelf.url(QCOW2))
    assert shelf.outputs["record_sha256"] == shelf.outputs["artifact_sha256"] == shelf.sha256(QCOW2)
    assert any(shelf.sha256(QCOW2) in warning for warning in said["warnings"])
    assert list(shelf.outputs["record_variants"]) == ["qcow2"]
    graph.seed(PROXMOX, SITE, RELEASE)
    with pytest.raises(RunFailed, match=r"has no raw\.xz"):
        graph.seed(HETZNER, SITE, RELEASE)
    more = shelf.register(graph, record_variants=shelf.variants())
    assert more["outcome"] == "registered"
    # Seeded as `raw.xz` of every registered record is: the test before this one.
    assert list(shelf.outputs["record_variants"]) == ["qcow2", "raw.xz"]


def test_a_raw_xz_alone_may_be_registered(shelf: Shelf) -> None:
    shelf.register(record_url=shelf.url(RAW_XZ), record_format="raw.xz", record_sha256=shelf.sha256(RAW_XZ))
    assert (shelf.outputs["record_format"], shelf.outputs["record_url"]) == ("raw.xz", shelf.url(RAW_XZ))


def test_registering_again_reads_again_and_changes_nothing(shelf: Shelf) -> None:
    graph = shelf.home.graph()
    shelf.register(graph, record_variants=shelf.variants())
    state = shelf.home.state(STATE)
    again = shelf.register(graph, record_variants=shelf.variants())
    assert (again["outcome"], again["state_changed"]) == ("adopted", False)
    assert shelf.home.state(STATE) == state
    (shelf.directory / RAW_XZ).write_bytes(b"other bytes")
    with pytest.raises(RunFailed, match="has other bytes than when it was registered"):
        shelf.register(graph, record_variants=shelf.variants() | {"raw.xz": {"url": shelf.url(RAW_XZ)}})
    assert shelf.home.state(STATE) == state


def test_another_digest_than_the_claimed_is_refused(shelf: Shelf) -> None:
    refused(shelf, "has the SHA-256", record_url=shelf.url(QCOW2), record_sha256="0" * 64)


def test_a_file_that_is_no_disk_is_refused(shelf: Shelf) -> None:
    (shelf.directory / QCOW2).write_bytes(b"<html>not found</html>" * 100)
    refused(shelf, "is a web page, not a raw disk, a qcow2 or a raw.xz", record_url=shelf.url(QCOW2))


def test_a_file_that_is_not_there_is_refused(shelf: Shelf) -> None:
    refused(shelf, "404", record_url=shelf.url(f"other-{RELEASE}.qcow2"))


def test_a_file_of_another_format_is_refused(shelf: Shelf) -> None:
    refused(shelf, r"is a raw\.xz, not a qcow2", record_url=shelf.url(RAW_XZ))


def test_variants_of_two_disks_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    qcow2.decode(shelf.directory / QCOW2, disk)
    with disk.open("r+b") as file:
        file.seek(read_table(disk).partitions[0].offset + 4096)
        file.write(b"another boot loader")
    (shelf.directory / RAW_XZ).unlink()
    rawxz.encode(disk, shelf.directory / RAW_XZ)
    refused(shelf, "hold different disks", record_variants=shelf.variants())


def test_the_disk_of_another_release_is_refused(shelf: Shelf) -> None:
    other = "2026.03.04-0027-rolling"
    shutil.copy(shelf.directory / QCOW2, shelf.directory / f"vyos-1.5-{other}.qcow2")
    inputs = ArtifactInputs(record_version=other, record_url=shelf.url(f"vyos-1.5-{other}.qcow2"))
    with pytest.raises(RunFailed, match=f"holds the release {RELEASE}, not {other}"):
        shelf.home.graph().register(other, registration(inputs))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record | {"key": "vyos-1.4"}, "is no record|is the record"),
        (lambda record: record | {"schema": "hyops.record/v9"}, "is no record"),
        (lambda record: record | {"surprise": 1}, "is no record"),
        (
            lambda record: record | {"lab": False, "disk": record["disk"] | {"sha256": "0" * 64}},
            "the record says 0000",
        ),
    ],
    ids=["key", "schema", "unknown-key", "disk"],
)
def test_a_document_that_is_not_the_record_of_its_files_is_refused(shelf: Shelf, change: Any, said: str) -> None:
    path = shelf.directory / DOCUMENT
    path.write_bytes(canonical_json(change(json.loads(path.read_text()))) + b"\n")
    refused(shelf, said, record_document_url=shelf.url(DOCUMENT))


def test_a_labs_document_is_refused_outside_a_lab(shelf: Shelf) -> None:
    shelf.home.configure(lab=False)
    refused(shelf, "is a lab's record", record_document_url=shelf.url(DOCUMENT))


def test_what_this_environment_published_itself_is_not_registered(seeded: LabEnvironment) -> None:
    before = seeded.state(BUILD)
    url = seeded.state(BUILD)["outputs"]["record_url"]
    inputs = ArtifactInputs(record_version=RELEASE, record_url=url)
    with pytest.raises(RunFailed, match=r"published .* itself") as failed:
        seeded.graph().register(RELEASE, registration(inputs))
    assert "there is nothing to register" in failed.value.hint
    assert "next:" not in failed.value.message
    assert seeded.state(BUILD) == before
    assert not (seeded.root.states / STATE).exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "set one of record_document_url, record_url and record_variants"),
        ({"record_url": f"https://example.org/vyos-{RELEASE}.qcow2", "record_version": ""}, "record_version"),
        ({"record_url": "https://example.org/vyos-latest.qcow2"}, "moves"),
        ({"record_url": f"gs://bucket/vyos-{RELEASE}.qcow2"}, "storage.googleapis|gs://"),
        ({"record_url": f"https://example.org/vyos-{RELEASE}.qcow2?X-Goog-Signature=abc"}, "signed"),
        ({"record_url": f"http://example.org/vyos-{RELEASE}.qcow2"}, "is not https"),
        ({"record_url": f"file:///srv/vyos-{RELEASE}.qcow2"}, "is not https"),
        ({"record_url": f"https://example.org/vyos-{RELEASE}.qcow2", "record_format": "vmdk"}, "record_format"),
        ({"record_url": f"https://example.org/vyos-{RELEASE}.qcow2", "record_local_path": "/x"}, "record_local_path"),
        (
            {"record_url": f"https://a.org/{RELEASE}.qcow2", "record_document_url": f"https://a.org/{RELEASE}.json"},
            "set one of",
        ),
    ],
)
def test_wrong_inputs_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputs, match=said):
        read_inputs(IMAGE_ARTIFACT, ArtifactInputs, {"record_version": RELEASE, **given})


def test_hybridops_names_serve_as_well() -> None:
    url = f"https://example.org/vyos-{RELEASE}.qcow2"
    given = {"artifact_url": url, "artifact_version": RELEASE, "artifact_sha256": "0" * 64}
    inputs = read_inputs(IMAGE_ARTIFACT, ArtifactInputs, given)
    assert registration(inputs)["urls"] == {"qcow2": url}
