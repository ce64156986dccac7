"""Values of an earlier run beside a reference, as a user meets them: named in the output, never taken."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef
from hyops_assets.contract.state import record_outputs
from resources.states.store import StateStore
from tests.cli.shell import environment, hyops
from tests.contract.samples import VERSION, contract

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")
STALE = {
    "image_source_url": "https://example.org/vyos-1.5-2020.01.01-0000-rolling.raw.xz?X-Amz-Signature=f00d",
    "record_sha256": "0" * 64,
    "record_version": "no version at all",
    "seed_command": "curl https://example.org |\nsh",
}


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    root = RuntimeRoot(tmp_path / "root")
    StateStore(root).commit(BUILD, run_id="one", outputs=record_outputs(contract()))
    return root


def validated(root: RuntimeRoot, tmp_path: Path, **given: str) -> subprocess.CompletedProcess[str]:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(yaml.safe_dump({"record_state_ref": str(BUILD), "record_key": "vyos-1.5", **given}))
    words = ("validate", "--skip-preflight", "--root", root.path, "--module", IMAGE_SEED, "--inputs", inputs)
    return hyops(environment(tmp_path), *words)


@pytest.mark.seconds
def test_stale_values_are_named_and_the_records_own_are_taken(root: RuntimeRoot, tmp_path: Path) -> None:
    ran = validated(root, tmp_path, **STALE)
    assert ran.returncode == 0, ran.stderr
    for name in STALE:
        assert f"warning: {name} is ignored: record_state_ref={BUILD} decides" in ran.stdout
    assert "f00d" not in ran.stdout + ran.stderr
    resolved = next(root.run_records.rglob("inputs_resolved.json")).read_text()
    assert json.loads(resolved)["record_version"] == VERSION
    assert contract().urls["raw.xz"] in resolved
    assert "f00d" not in resolved


def test_nothing_is_said_where_only_the_reference_stands(root: RuntimeRoot, tmp_path: Path) -> None:
    assert "is ignored" not in validated(root, tmp_path).stdout
