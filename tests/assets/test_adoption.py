"""A disk that was built elsewhere becomes a record by the same gates, and says that nobody knows its source."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.contract.evidence import Contract, Evidence
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.programs import run
from hyops_assets.image.variants import qcow2
from hyops_lab.cli.lab import SITE
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.clouds import HETZNER


@pytest.fixture(scope="module")
def elsewhere(seeded: LabEnvironment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both variants of a record that others built."""
    record = ArtifactStore(seeded.root.artifacts).read_document("published_contract", RELEASE, Contract).record
    directory = tmp_path_factory.mktemp("elsewhere")
    for variant in record.variants.values():
        shutil.copy(ArtifactStore(seeded.root.artifacts).blob(variant.sha256), directory / variant.file_name)
    return {format_: directory / variant.file_name for format_, variant in record.variants.items()}


def contract_of(home: LabEnvironment) -> Contract:
    return ArtifactStore(home.root.artifacts).read_document("published_contract", RELEASE, Contract)


def test_a_qcow2_built_elsewhere_is_published_as_it_is_and_seeded(
    home: LabEnvironment, elsewhere: dict[str, Path]
) -> None:
    graph = home.graph()
    graph.adopt(RELEASE, path=str(elsewhere["qcow2"]))
    contract = contract_of(home)
    record = contract.record
    assert record.variants["qcow2"].sha256 == sha256_of_file(elsewhere["qcow2"])
    assert (record.iso_sha256, record.overlay_lock_sha256, record.helper_sha256) == (None, None, None)
    assert contract.signature is None

    name = contract.evidence_url.rsplit("/", 1)[-1]
    evidence = Evidence.model_validate_json(home.published()[f"network/vyos/{name}"])
    assert evidence.iso is None
    assert evidence.build["method"] == "adopted"
    not_compared = {gate.name for gate in evidence.gates if "nothing to compare" in str(gate.detail.get("found"))}
    assert not_compared
    graph.seed(HETZNER, SITE, RELEASE)
    checks = home.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(dg.AssetKey("hetzner_image"), "lineage_holds")]
    )
    assert [str(execution.status) for execution in checks.values()] == ["AssetCheckExecutionRecordStatus.SUCCEEDED"]

    again = graph.adopt(RELEASE, path=str(elsewhere["qcow2"]))
    assert again.metadata["qcow2_record"]["outcome"] == "adopted"
    assert again.metadata["published_contract"]["outcome"] == "adopted"
    with pytest.raises(RunFailed, match=f"not {'0' * 64}"):
        graph.adopt(RELEASE, path=str(elsewhere["qcow2"]), sha256="0" * 64)


def test_a_raw_xz_built_elsewhere_becomes_both_variants_of_its_disk(
    home: LabEnvironment, elsewhere: dict[str, Path]
) -> None:
    sha256 = sha256_of_file(elsewhere["raw.xz"])
    home.graph().adopt(RELEASE, path=str(elsewhere["raw.xz"]), sha256=sha256)
    assert contract_of(home).record.variants["raw.xz"].sha256 == sha256
    assert contract_of(home).record.variants["qcow2"].sha256 == sha256_of_file(elsewhere["qcow2"])


def test_another_file_than_the_digest_names_is_refused(home: LabEnvironment, elsewhere: dict[str, Path]) -> None:
    with pytest.raises(RunFailed, match="has the SHA-256"):
        home.graph().adopt(RELEASE, path=str(elsewhere["qcow2"]), sha256="0" * 64)
    assert home.published() == {}


def test_the_disk_of_another_release_is_refused(home: LabEnvironment, elsewhere: dict[str, Path]) -> None:
    with pytest.raises(RunFailed, match=f"holds the release {RELEASE}"):
        home.graph().adopt("2026.03.04-0027-rolling", path=str(elsewhere["qcow2"]))
    assert home.published() == {}


@pytest.mark.parametrize(
    ("url", "sha256", "said"),
    [
        (f"https://example.org/vyos-1.5-{RELEASE}.qcow2", "", "without record_sha256"),
        ("https://example.org/vyos-latest.qcow2", "0" * 64, "latest"),
        (f"gs://bucket/vyos-1.5-{RELEASE}.qcow2", "0" * 64, "gs://"),
    ],
)
def test_a_url_that_may_not_stand_in_a_contract_is_refused_before_it_is_fetched(
    home: LabEnvironment, url: str, sha256: str, said: str
) -> None:
    with pytest.raises(RunFailed, match=said):
        home.graph().adopt(RELEASE, url=url, sha256=sha256)
    assert home.published() == {}


def test_the_same_gates_refuse_a_disk_with_a_host_key(
    home: LabEnvironment, elsewhere: dict[str, Path], tmp_path: Path
) -> None:
    disk = tmp_path / "disk.raw"
    qcow2.decode(elsewhere["qcow2"], disk)
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    offset = read_table(disk).partitions[2].offset
    upper = f"/boot/{RELEASE}/rw/etc"
    commands = f"mkdir {upper}/ssh\nwrite {key} {upper}/ssh/ssh_host_ed25519_key\n"
    run(["debugfs", "-w", "-f", "-", f"{disk}?offset={offset}"], stdin=commands.encode())
    with pytest.raises(RunFailed, match="host_key"):
        home.graph().adopt(RELEASE, path=str(disk))
    assert home.published() == {}
