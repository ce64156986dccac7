import pytest

from hyops_assets.cli.modules.spec_texts import SAID
from hyops_assets.contract.inputs import BadInputs, BuildInputs, ImageSeedInputs, TemplateSeedInputs, read_inputs
from tests.contract.hybridops_specs import SPECS, Spec

each_module = pytest.mark.parametrize(("module", "spec"), SPECS.items(), ids=list(SPECS))


@each_module
def test_every_input_of_hybridops_passes_at_its_default(module: str, spec: Spec) -> None:
    read_inputs(module, spec.model, spec.defaults | spec.needed)
    for name, value in spec.defaults.items():
        read_inputs(module, spec.model, {name: value} | spec.needed)


@each_module
def test_every_input_of_hybridops_passes_blank(module: str, spec: Spec) -> None:
    for blank in ("", None):
        read_inputs(module, spec.model, dict.fromkeys(spec.defaults, blank) | spec.needed)


@each_module
def test_every_output_of_hybridops_is_published(module: str, spec: Spec) -> None:
    assert set(spec.outputs) <= set(SAID[module].outputs())


@pytest.mark.parametrize(
    ("model", "given", "why"),
    [
        (ImageSeedInputs, {"seed_tool": "mine"}, "another tool runs as seed_command"),
        (ImageSeedInputs, {"image_architecture": "arm64"}, "the record decides it"),
        (ImageSeedInputs, {"image_key": "vyos-1.4", "record_key": "vyos-1.5"}, "record_key says which record"),
        (ImageSeedInputs, {"image_version": "1.5"}, "record_version says it"),
        (TemplateSeedInputs, {"template_key": "vyos-1.4", "record_key": "vyos-1.5"}, "record_key says which"),
        (TemplateSeedInputs, {"target_user": "opsadmin"}, "everything runs on this host"),
        (TemplateSeedInputs, {"target_port": True}, "everything runs on this host"),
    ],
)
def test_another_value_of_what_is_not_done_here_is_refused_with_the_reason(
    model: type[ImageSeedInputs | TemplateSeedInputs], given: dict[str, object], why: str
) -> None:
    with pytest.raises(BadInputs, match=why):
        read_inputs("seed", model, {"record_state_ref": "core/shared/vyos-image-build", **given})


def test_the_pause_of_hybridops_smoke_test_is_not_taken_for_a_limit() -> None:
    given = {"record_state_ref": "core/shared/vyos-image-build"}
    assert read_inputs("seed", TemplateSeedInputs, given | {"template_smoke_wait_s": 90}).template_smoke_wait_s is None
    assert read_inputs("seed", TemplateSeedInputs, given | {"template_smoke_wait_s": 120}).template_smoke_wait_s == 120


def test_where_a_build_command_writes_there_is_no_disk_that_was_built_elsewhere() -> None:
    given = {"record_version": "2026.03", "artifact_local_path": "/tmp/vyos-1.5.qcow2"}
    assert read_inputs("build", BuildInputs, given | {"build_command": "make"}).record_local_path == ""
    assert read_inputs("build", BuildInputs, given).record_local_path == "/tmp/vyos-1.5.qcow2"


def test_a_build_without_a_version_is_refused_however_it_is_left_out() -> None:
    for given in ({}, {"record_version": ""}, {"artifact_version": None}):
        with pytest.raises(BadInputs, match="name the release to build"):
            read_inputs("build", BuildInputs, given)
