"""What keeps a record from being published, however its publication is asked for."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.documents import CandidateRecord
from hyops_assets.definitions import build_definitions
from hyops_assets.gate_results import REQUIRED, gate
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from tests.assets.environment import RELEASE, LabEnvironment, NeverBoots, quick

SUBJECT = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


def materialize(
    home: LabEnvironment, assets: Sequence[str], *, checks: bool, **overrides: object
) -> dg.ExecuteInProcessResult:
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


def test_the_contract_alone_is_not_published_without_every_gates_pass_for_its_bytes(built: LabEnvironment) -> None:
    home = built
    shutil.rmtree(home.root.artifacts / "documents" / "gates")
    alone = materialize(home, ["published_contract"], checks=False)
    assert not alone.success
    assert all(name in reason(alone) for name in REQUIRED)

    assert not materialize(home, ["qcow2_record"], checks=True, boot_gate=NeverBoots()).success
    alone = materialize(home, ["published_contract"], checks=False)
    assert not alone.success
    assert "did not pass: boots_bios, boots_uefi, variants_decode_to_one_disk" in reason(alone)

    assert home.published() == {}
    assert list(home.root.states.rglob("*.json")) == []


def test_what_may_have_been_emulated_passed_every_gate_and_is_not_published(built: LabEnvironment) -> None:
    store = ArtifactStore(built.root.artifacts)
    made = store.read_document("raw_xz_record", RELEASE, CandidateRecord)
    facts = {**made.built.build, "method": "command", "accelerator": "tcg", "publishable": False}
    emulated = made.model_copy(update={"built": made.built.model_copy(update={"build": facts})})
    store.write_document("raw_xz_record", RELEASE, emulated)

    alone = materialize(built, ["published_contract"], checks=True)

    assert "this disk is for debugging only (method command, accelerator tcg)" in reason(alone)
    assert built.published() == {}
    assert list(built.root.states.rglob("*.json")) == []


def test_a_lab_record_is_refused_by_a_repository_that_is_no_lab(built: LabEnvironment) -> None:
    built.configure(repository=built.settings.repository.model_copy(update={"lab": False}))
    assert "lab key" in reason(materialize(built, ["published_contract"], checks=True))
    assert built.published() == {}


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
