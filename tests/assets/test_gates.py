"""What keeps a record from being published, however its publication is asked for."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.definitions import build_definitions
from hyops_assets.gates import REQUIRED, gate
from hyops_assets.partitions import add_version
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from tests.assets.house import RELEASE, House, NeverBoots, quick

SUBJECT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def materialize(home: House, assets: Sequence[str], *, checks: bool, **overrides: object) -> dg.ExecuteInProcessResult:
    """Materialize some assets only, as anyone can in the UI."""
    selection = dg.AssetSelection.assets(*assets)
    definitions = dg.Definitions.merge(
        build_definitions(home.root, load_settings(home.root), overrides=quick() | overrides),
        dg.Definitions(jobs=[dg.define_asset_job("some", selection if checks else selection.without_checks())]),
    )
    return definitions.resolve_job_def("some").execute_in_process(
        instance=home.instance,
        partition_key=RELEASE,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def reason(result: dg.ExecuteInProcessResult) -> str:
    (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert failure is not None
    return (failure.cause or failure).message


def test_the_contract_alone_is_not_published_without_every_gates_pass_for_its_bytes(home: House) -> None:
    add_version(home.instance, RELEASE)
    assert materialize(home, ["vyos_iso", "qcow2_record", "raw_xz_record"], checks=False).success

    alone = materialize(home, ["published_contract"], checks=False)
    assert not alone.success
    assert all(name in reason(alone) for name in REQUIRED)

    assert not materialize(home, ["qcow2_record"], checks=True, boot_gate=NeverBoots()).success
    alone = materialize(home, ["published_contract"], checks=False)
    assert not alone.success
    assert "did not pass: boots_bios, boots_uefi, variants_decode_to_one_disk" in reason(alone)

    assert home.published() == {}
    assert list(home.root.states.rglob("*.json")) == []


def test_a_pass_is_kept_for_exactly_these_bytes_and_a_failure_is_not(store: ArtifactStore) -> None:
    asked: list[str] = []

    def examine(subject: str, *, passes: bool) -> bool:
        asked.append(subject)
        return passes

    def ask(subject: str, *, passes: bool) -> bool:
        return gate(store, "boots_bios", subject, lambda: (examine(subject, passes=passes), {})).passed

    assert not ask(SUBJECT, passes=False)
    assert ask(SUBJECT, passes=True)
    assert ask(SUBJECT, passes=False)
    assert not ask("1" * 64, passes=False)
    assert asked == [SUBJECT, SUBJECT, "1" * 64]


def test_an_adopted_pass_says_so_and_when_it_was_examined(store: ArtifactStore) -> None:
    first = gate(store, "boots_bios", SUBJECT, lambda: (True, {"firmware": "bios"}))
    again = gate(store, "boots_bios", SUBJECT, lambda: (False, {}))
    assert "adopted" not in first.detail
    assert again.detail == first.detail | {"adopted": True}
    assert first.detail["examined_at"]
