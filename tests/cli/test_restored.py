"""An environment whose states were copied to a new machine: what lay beside them is not there any more."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.cli.shell import hyops

BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.yml"
    path.write_text(f"record_state_ref: {IMAGE_BUILD}#vyos_default_build\nrecord_key: vyos-1.5\n")
    return path


def apply(lab_environment: LabEnvironment, module: str, inputs: Path) -> subprocess.CompletedProcess[str]:
    words = ("apply", "--root", lab_environment.root.path, "--module", module, "--inputs", inputs)
    return hyops({**os.environ, "HOME": str(lab_environment.root.path)}, *words)


def contract(lab_environment: LabEnvironment) -> Contract | None:
    return ArtifactStore(lab_environment.root.artifacts).find_document("published_contract", RELEASE, Contract)


def test_without_dagsters_history_and_the_documents_a_seed_is_applied_from_what_was_published(
    released: LabEnvironment, inputs: Path
) -> None:
    before, calls = contract(released), released.mutations()
    released.instance.dispose()
    shutil.rmtree(released.root.dagster_home)
    shutil.rmtree(released.root.artifacts)
    ran = apply(released, IMAGE_SEED, inputs)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert "adopted" in ran.stdout
    assert f"the record {RELEASE} is not on this host: read again from" in ran.stdout
    assert contract(released) == before
    assert released.mutations() == calls


def test_documents_that_are_lost_and_a_published_record_that_is_another_end_in_the_apply_that_helps(
    released: LabEnvironment, inputs: Path
) -> None:
    shutil.rmtree(released.root.artifacts / "documents")
    state = released.root.states / BUILD
    said = json.loads(state.read_text())
    state.write_text(json.dumps({**said, "outputs": {**said["outputs"], "record_digest": "0" * 64}}))
    ran = apply(released, TEMPLATE_SEED, inputs)
    assert ran.returncode == 1, ran
    assert f"the record {RELEASE} is not on this host" in ran.stderr
    assert (
        f"hyops apply --root {released.root.path} --module {IMAGE_BUILD} adopts what this environment published"
        in ran.stderr
    )
    assert "Traceback" not in ran.stderr
    assert contract(released) is None
