import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.cli.modules.registry import MODULES, Module
from hyops_assets.cli.modules.spec_texts import SAID
from hyops_assets.cli.modules.specs import LATEST, SCHEMA, SPEC, defaults_of, made_files, spec_of, write_made
from hyops_assets.contract.inputs import read_inputs
from hyops_assets.contract.references import IMAGE_BUILD
from hyops_assets.contract.resolution import resolve_inputs
from tests.test_graph_snapshot import JOBS

SHIPPED = Path(__file__).parents[3] / "modules"
NAMED_BY_THE_ISSUE = {
    "core/shared/vyos-image-build",
    "core/shared/vyos-image-artifact",
    "core/onprem/vyos-template-seed",
    "core/onprem/vyos-template-import",
    "core/hetzner/vyos-image-seed",
    "core/hetzner/vyos-image-register",
    "org/gcp/object-repo",
    "platform/onprem/vyos-edge",
    "org/hetzner/vyos-edge-foundation",
}
EXAMPLES = sorted(SHIPPED.rglob("examples/*.yml"))
MODULE = pytest.mark.parametrize("module", MODULES.values(), ids=lambda module: module.ref)


def test_every_module_that_is_promised_has_a_row_and_is_described() -> None:
    assert set(MODULES) == set(SAID) == NAMED_BY_THE_ISSUE


@MODULE
def test_the_files_of_a_module_are_what_the_models_make(module: Module) -> None:
    """Where this fails: python -m hyops_assets.cli.modules.specs"""
    for name in (SPEC, SCHEMA):
        path = SHIPPED / module.ref / name
        assert path.read_text() == made_files(SHIPPED)[path]


def test_nothing_of_a_module_lies_around_that_has_no_row() -> None:
    assert {str(path.parent.relative_to(SHIPPED)) for path in SHIPPED.rglob(SPEC)} == set(MODULES)


def test_writing_specs_twice_writes_nothing_the_second_time(tmp_path: Path) -> None:
    assert len(write_made(made_files(tmp_path))) == 2 * len(MODULES)
    assert write_made(made_files(tmp_path)) == []


@MODULE
def test_a_specs_defaults_are_the_models_own(module: Module) -> None:
    spec = yaml.safe_load((SHIPPED / module.ref / SPEC).read_text())
    assert spec["inputs"]["defaults"] == defaults_of(module.inputs)
    assert set(spec["inputs"]["defaults"]) | set(spec["inputs"]["required"]) == set(module.inputs.model_fields)
    assert not set(spec["inputs"]["defaults"]) & set(spec["inputs"]["required"])


@MODULE
def test_a_spec_names_a_job_of_the_graph_or_none(module: Module) -> None:
    job = spec_of(module)["execution"]["pack_ref"]["id"]
    assert job == "" or job in JOBS


@MODULE
def test_what_is_decided_by_a_reference_is_an_input(module: Module) -> None:
    decided = spec_of(module)["inputs"]["decided_by"]
    assert set(decided) == {name for name in module.inputs.model_fields if name.endswith("_state_ref")}
    assert all(set(names) <= set(module.inputs.model_fields) for names in decided.values())


def test_the_builds_default_instance_is_the_one_that_the_document_verifies() -> None:
    assert spec_of(MODULES[IMAGE_BUILD])["state"]["default_instance"] == "vyos_default_build"
    others = {module.ref: spec_of(module)["state"]["default_instance"] for module in MODULES.values()}
    assert others["core/hetzner/vyos-image-seed"] == others["core/onprem/vyos-template-seed"] == LATEST


@MODULE
def test_every_module_comes_with_an_example(module: Module) -> None:
    assert any(path.is_relative_to(SHIPPED / module.ref) for path in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: str(path.relative_to(SHIPPED)))
def test_an_example_validates_in_an_environment_without_any_state(example: Path) -> None:
    module = MODULES[str(example.parent.parent.relative_to(SHIPPED))]
    given: dict[str, Any] = yaml.safe_load(example.read_text())
    resolved = resolve_inputs(module.inputs, defaults_of(module.inputs) | given, lambda ref: None)
    read_inputs(module.ref, module.inputs, resolved.inputs)
    assert set(given) <= set(json.loads((SHIPPED / module.ref / SCHEMA).read_text())["properties"])
