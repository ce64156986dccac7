"""What HybridOps' blueprints compare before they skip a step: their inputs with the file that a state points at."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.cli.environment import Place
from hyops_assets.cli.prepare import ModuleCommand, inputs_by_both_names, prepare
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED, StateRef
from hyops_assets.contract.state import record_outputs
from resources.states.store import StateStore
from tests.contract.samples import VERSION, contract

BUILD = StateRef(IMAGE_BUILD, "vyos_default_build")
BY_REFERENCE = {
    "artifact_state_ref": str(BUILD),
    "artifact_key": "vyos-1.5",
    "required_env": ["HYOPS_VYOS_GCS_SA_JSON"],
    "image_source_url": "",
    "seed_if_missing": True,
}
STEPS: dict[str, dict[str, Any]] = {
    IMAGE_BUILD: {
        "artifact_key": "vyos-1.5",
        "artifact_format": "qcow2",
        "artifact_version": VERSION,
        "artifact_url": "",
        "artifact_local_path": "/tmp/vyos-1.5.qcow2",
        "repo_state_ref": "org/gcp/object-repo#vyos_artifacts",
        "required_env": ["HYOPS_VYOS_GCS_SA_JSON"],
        "build_command": "/opt/hybridops/core/app/tools/build/vyos/build-vyos-qcow2.sh",
        "smoke_verify_required": True,
        "publish_command": "/opt/hybridops/core/app/tools/build/vyos/publish-vyos-artifact.sh",
    },
    TEMPLATE_SEED: {
        **BY_REFERENCE,
        "template_key": "vyos-1.5",
        "template_vm_id": 9205,
        "template_name": "vyos-1.5-template",
    },
    IMAGE_SEED: {
        **BY_REFERENCE,
        "image_key": "vyos-1.5",
        "image_ref": "",
        "image_version": "",
        "image_description": "",
        "seed_wrapper_public_base_url": "",
        "seed_location": "",
        "seed_server_type": "",
        "seed_tool": "hcloud-upload-image",
    },
}
"""The image steps of its blueprints (`inputs` of the steps, August 2026)."""


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    root = RuntimeRoot(tmp_path / "root")
    StateStore(root).commit(BUILD, run_id="one", outputs=record_outputs(contract()))
    (root.path / "config").mkdir(exist_ok=True)
    root.settings_file.write_text(
        "sites:\n"
        "  proxmox: {main: {host: pve1, node: pve1, token_id: hyops@pve!seed, token_env: PROXMOX_TOKEN}}\n"
        "  hetzner: {main: {token_env: HCLOUD_TOKEN}}\n"
    )
    return root


def resolved(root: RuntimeRoot, module: str, given: dict[str, Any]) -> dict[str, Any]:
    """The inputs as the file holds them after a run with these."""
    path = root.path.parent / "inputs.yml"
    path.write_text(yaml.safe_dump(given))
    return inputs_by_both_names(prepare(ModuleCommand("apply", Place(root, ""), module, path), {}))


@pytest.mark.parametrize("module", STEPS)
def test_a_step_that_was_applied_here_is_found_unchanged(root: RuntimeRoot, module: str) -> None:
    held = resolved(root, module, STEPS[module])
    # Blank ones are left out of the comparison there.
    asked = {name: value for name, value in STEPS[module].items() if value not in ("", [], {})}
    assert {name: held.get(name) for name in asked} == asked


@pytest.mark.parametrize("module", [TEMPLATE_SEED, IMAGE_SEED])
def test_a_step_is_found_unchanged_where_the_documents_names_were_applied(root: RuntimeRoot, module: str) -> None:
    ours = {"record_state_ref": str(BUILD), "record_key": "vyos-1.5", "required_env": ["HYOPS_VYOS_GCS_SA_JSON"]}
    if module == TEMPLATE_SEED:
        ours |= {"template_vm_id": 9205, "template_name": "vyos-1.5-template"}
    held = resolved(root, module, ours)
    asked = {name: value for name, value in STEPS[module].items() if value not in ("", [], {})}
    assert {name: held.get(name) for name in asked} == asked


def test_a_stale_value_does_not_stand_there_beside_what_the_reference_decided(root: RuntimeRoot) -> None:
    held = resolved(root, IMAGE_SEED, {**STEPS[IMAGE_SEED], "image_version": "1.4", "artifact_url": "https://stale/x"})
    assert held["image_version"] == held["record_version"] == VERSION
    assert held["artifact_url"] == held["record_url"] == contract().urls["raw.xz"]


def test_another_key_of_the_step_is_another_record(root: RuntimeRoot) -> None:
    found = prepare_with_key(root, {"artifact_state_ref": str(BUILD), "image_key": "vyos-1.4"})
    assert "has no record 'vyos-1.4'" in found


def prepare_with_key(root: RuntimeRoot, given: dict[str, Any]) -> str:
    path = root.path.parent / "inputs.yml"
    path.write_text(yaml.safe_dump(given))
    unresolved = prepare(ModuleCommand("validate", Place(root, ""), IMAGE_SEED, path), {}).resolution.unresolved
    return "".join(error.message for error in unresolved)
