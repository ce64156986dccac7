"""Layers of a module's inputs, and what a repetition is given."""

import json
from pathlib import Path

import pytest
import yaml

from hyops_assets.cli.inputs import read_layers
from hyops_assets.cli.modules.registry import MODULES
from hyops_assets.cli.saved_inputs import lasting_inputs, rerun_path, write_rerun_inputs
from hyops_assets.contract.inputs import BadInputs
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.redaction import Redactor
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, StateRef

BUILD = MODULES[IMAGE_BUILD]


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    root = tmp_path / "specs"
    spec = root / IMAGE_BUILD / "spec.yml"
    spec.parent.mkdir(parents=True)
    spec.write_text("inputs: {defaults: {record_key: vyos-9, notes: from the spec, allow_iso_build: false}}\n")
    return root


def merged(specs: Path, tmp_path: Path, content: str, **environ: str) -> dict[str, object]:
    inputs = tmp_path / "inputs.yml"
    inputs.write_text(content)
    return dict(read_layers(BUILD, inputs, specs, environ).merged)


def test_each_layer_lies_over_the_one_below(specs: Path, tmp_path: Path) -> None:
    assert merged(specs, tmp_path, "")["record_key"] == "vyos-9"
    assert merged(specs, tmp_path, "record_key: file")["record_key"] == "file"
    whole = json.dumps({"record_key": "json"})
    assert merged(specs, tmp_path, "record_key: file", HYOPS_INPUTS_JSON=whole)["record_key"] == "json"
    one = merged(specs, tmp_path, "record_key: file", HYOPS_INPUTS_JSON=whole, HYOPS_INPUT_RECORD_KEY="one")
    assert one["record_key"] == "one"


def test_a_blank_text_erases_no_default(specs: Path, tmp_path: Path) -> None:
    assert merged(specs, tmp_path, 'notes: ""\nrecord_key: " "') == merged(specs, tmp_path, "")


def test_an_alias_in_one_layer_lies_over_the_name_in_another(specs: Path, tmp_path: Path) -> None:
    found = merged(specs, tmp_path, "artifact_key: alias", HYOPS_INPUT_ARTIFACT_VERSION="2026.03")
    assert found["record_key"] == "alias"
    assert found["record_version"] == "2026.03"
    assert not any(key.startswith("artifact_") for key in found)


def test_a_variable_is_json_where_the_input_is_no_text(specs: Path, tmp_path: Path) -> None:
    environ = {
        "HYOPS_INPUT_ALLOW_ISO_BUILD": "true",
        "HYOPS_INPUT_REQUIRED_ENV": '["A_TOKEN"]',
        "HYOPS_INPUT_RECORD_VERSION": "2026.03",
        "HYOPS_INPUT_NOTES": '"quoted"',
        "HYOPS_INPUT_SITE__DEEP__KEY": "1",
    }
    found = merged(specs, tmp_path, "", **environ)
    assert found["allow_iso_build"] is True
    assert found["required_env"] == ["A_TOKEN"]
    assert found["record_version"] == "2026.03"
    assert found["notes"] == "quoted"
    assert found["site"] == {"deep": {"key": 1}}


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"HYOPS_INPUTS_JSON": "{"}, "HYOPS_INPUTS_JSON is no JSON"),
        ({"HYOPS_INPUTS_JSON": "[1]"}, "holds no mapping"),
        ({"HYOPS_INPUTS_JSON": '{"artifact_key": "a", "record_key": "b"}'}, "different values"),
        ({"HYOPS_INPUT_A": "1", "HYOPS_INPUT_A__B": "1"}, "exclude each other"),
        ({"HYOPS_INPUT_NOTES": "the key is abcdefgh1234", "A_TOKEN": "abcdefgh1234"}, "value of the variable A_TOKEN"),
    ],
    ids=["no-json", "list", "alias", "nested-and-plain", "secret"],
)
def test_a_layer_that_cannot_be_taken_is_named(specs: Path, tmp_path: Path, environ: dict[str, str], why: str) -> None:
    with pytest.raises(BadInputs, match=why) as refusal:
        merged(specs, tmp_path, "", **environ)
    assert "abcdefgh1234" not in str(refusal.value)


@pytest.mark.parametrize("depth", [33, 40_000])
def test_a_variable_whose_name_nests_deeply_is_refused(specs: Path, tmp_path: Path, depth: int) -> None:
    with pytest.raises(BadInputs, match="nests deeper than 32 levels"):
        merged(specs, tmp_path, "", **{"HYOPS_INPUT_" + "A__" * depth + "A": "1"})


def test_a_module_root_without_the_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputs, match=r"spec\.yml is not there"):
        read_layers(BUILD, None, tmp_path, {})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_specs_of_the_checkout_change_no_models_default(module: str) -> None:
    root = Path(__file__).parents[2] / "modules"
    defaults = read_layers(MODULES[module], None, root, {}).merged
    fields = MODULES[module].inputs.model_fields
    assert set(defaults) <= set(fields)


def test_a_repetition_gets_neither_secrets_nor_what_a_reference_decides(tmp_path: Path) -> None:
    given = {
        "record_state_ref": f"{IMAGE_BUILD}#vyos_default_build",
        "record_url": "https://stale",
        "seed_command": "stale",
        "site": "lab",
        "api_key": "x",
        "token_env": "HCLOUD_TOKEN",
        "deep": {"password": "x", "kept": [1]},
    }
    root = RuntimeRoot(tmp_path / "root")
    ref = StateRef(IMAGE_SEED)
    path = write_rerun_inputs(root, ref, given, Redactor({}))
    assert path == root.path / "config/modules/core__hetzner__vyos-image-seed/latest.inputs.yml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(path.read_text()) == {
        "record_state_ref": f"{IMAGE_BUILD}#vyos_default_build",
        "site": "lab",
        "token_env": "HCLOUD_TOKEN",
        "deep": {"kept": [1]},
    }


def test_without_a_reference_everything_given_is_given_again(tmp_path: Path) -> None:
    given = {"record_state_ref": "", "record_url": "https://here"}
    assert lasting_inputs(given) == given
    named = rerun_path(RuntimeRoot(tmp_path), StateRef(IMAGE_BUILD, "a.b"))
    assert named.name == "a.b.inputs.yml"
