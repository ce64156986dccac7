"""The edges' modules as a user meets them: validated, planned, and refused before anything is written."""

import subprocess
from pathlib import Path

import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.references import HETZNER_EDGES, IMAGE_SEED, ONPREM_EDGE, TEMPLATE_SEED, StateRef
from hyops_assets.contract.state import image_outputs, template_outputs
from resources.states.store import StateStore
from tests.cli import shell
from tests.contract.samples import contract

pytestmark = pytest.mark.seconds

EXAMPLES = {ONPREM_EDGE: "inputs.template-state.yml", HETZNER_EDGES: "inputs.image-state.yml"}


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    """An environment in which both clouds were seeded."""
    root = RuntimeRoot(tmp_path / "root")
    states = StateStore(root)
    template = template_outputs(contract(), vmid=9203, name="vyos", node="pve1", seeded=True)
    image = image_outputs(contract(), image_ref="42", name="", description="d", seeded=True)
    states.commit(StateRef(TEMPLATE_SEED), run_id="one", outputs=template)
    states.commit(StateRef(IMAGE_SEED), run_id="one", outputs=image)
    return root


def hyops(root: RuntimeRoot, command: str, module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inputs = f"modules/{module}/examples/{EXAMPLES[module]}"
    words = (command, "--root", root.path, "--module", module, "--inputs", inputs)
    return shell.hyops(shell.environment(root.path) | environment, *words)


@pytest.mark.parametrize("module", EXAMPLES)
def test_an_edge_is_not_applied_and_its_state_is_not_touched(root: RuntimeRoot, module: str) -> None:
    ran = hyops(root, "apply", module)
    assert ran.returncode == 1, ran
    assert f"{module} is validated and planned here, and not applied yet" in ran.stderr
    assert "next: apply it with HybridOps" in ran.stderr
    assert StateStore(root).find(StateRef(module)) is None


@pytest.mark.parametrize(
    ("module", "consumed", "stale"),
    [
        (ONPREM_EDGE, "9203", {"HYOPS_INPUT_TEMPLATE_VM_ID": "100"}),
        (HETZNER_EDGES, "42", {"HYOPS_INPUT_IMAGE": "7"}),
    ],
)
def test_a_plan_consumes_what_the_state_names_and_says_what_it_ignored(
    root: RuntimeRoot, module: str, consumed: str, stale: dict[str, str]
) -> None:
    ran = hyops(root, "plan", module, **stale)
    assert ran.returncode == 0, ran.stderr
    assert f"decides, and it says {consumed}" in ran.stdout
    assert "plan: consume" in ran.stdout
    assert not any(f" {value}\n" in ran.stdout for value in stale.values())


@pytest.mark.parametrize("module", EXAMPLES)
def test_an_edges_inputs_validate_as_they_are_shipped(root: RuntimeRoot, module: str) -> None:
    ran = hyops(root, "validate", module)
    assert ran.returncode == 0, ran.stderr
