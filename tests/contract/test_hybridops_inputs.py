import pytest

from hyops_assets.contract.hybridops_inputs import REFUSED
from hyops_assets.contract.inputs import BadInputs, BuildInputs, ImageSeedInputs, TemplateSeedInputs, read_inputs
from hyops_assets.contract.seed_options import TemplateOptions

GIVEN = {"record_state_ref": "core/shared/vyos-image-build#vyos_default_build"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_input_that_means_nothing_here_is_refused_by_name_with_why(name: str) -> None:
    strangers = [model for model in (TemplateSeedInputs, ImageSeedInputs) if name not in model.model_fields]
    assert strangers
    for model in strangers:
        with pytest.raises(BadInputs, match=f"{name}: "):
            read_inputs("seed", model, {**GIVEN, name: "something"})


def test_blank_ones_of_hybridops_examples_are_let_pass() -> None:
    read_inputs("seed", TemplateSeedInputs, {**GIVEN, "proxmox_host": "", "ssh_private_key": None})


def test_a_hetzner_seed_takes_what_hybridops_says_of_the_server_and_the_wrapper() -> None:
    said = {
        "image_ref": "",
        "seed_if_missing": False,
        "seed_location": "hel1",
        "seed_server_type": "cpx22",
        "seed_wrapper_public_base_url": "http://192.0.2.1:18080",
        "seed_wrapper_bind_port": 18080,
    }
    inputs = read_inputs("seed", ImageSeedInputs, {**GIVEN, **said})
    assert inputs.model_dump(include=set(said)) == said


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed_location", "../x"), ("seed_server_type", "CPX"), ("seed_wrapper_bind_port", 0), ("image_ref", "a b")],
)
def test_a_value_that_hetzner_cannot_mean_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputs, match=name):
        read_inputs("seed", ImageSeedInputs, {**GIVEN, name: value})


def test_what_a_seed_command_would_not_get_is_refused_beside_it() -> None:
    given = {
        "record_version": "2026.03.03-0027-rolling",
        "record_url": "https://example.org/vyos-1.5-2026.03.03-0027-rolling.raw.xz",
        "record_sha256": "0" * 64,
        "seed_command": "true",
    }
    read_inputs("seed", ImageSeedInputs, given)
    with pytest.raises(BadInputs, match="seed_location would not count"):
        read_inputs("seed", ImageSeedInputs, {**given, "seed_location": "hel1"})


def test_what_says_only_what_is_so_anyway_is_let_pass() -> None:
    here = {"inventory_groups": {"localhost": [{"name": "localhost", "host": "127.0.0.1"}]}, "become": False}
    read_inputs("build", BuildInputs, {"record_version": "2026.03", "connectivity_check": False, **here})


@pytest.mark.parametrize(
    "given",
    [
        {"inventory_state_ref": "platform/onprem/platform-vm#onprem_ops_runner"},
        {"inventory_groups": {"runner": [{"name": "ops", "host": "10.0.0.5"}]}},
        {"inventory_groups": {"runner": "ops"}},
        {"become": True},
        {"become": 0},
    ],
)
def test_a_build_that_is_meant_to_run_elsewhere_is_refused_with_why(given: dict[str, object]) -> None:
    with pytest.raises(BadInputs, match=r"not taken here: (inventory|become)"):
        read_inputs("build", BuildInputs, {"record_version": "2026.03", **given})


def test_a_template_seed_takes_what_hybridops_says_of_the_template() -> None:
    said = {
        "template_vm_id": 9205,
        "template_name": "vyos-1.5-template",
        "seed_if_missing": False,
        "rebuild_if_exists": True,
        "storage_vm": "local-lvm",
        "network_bridge": "vmbr0",
        "cpu_cores": 2,
        "memory_mb": 2048,
        "ci_username": "vyos",
        "template_smoke_gate": True,
        "template_smoke_wait_s": 120,
        "template_smoke_vmid": 18205,
        "template_smoke_bridge": "vmbr1",
    }
    inputs = read_inputs("seed", TemplateSeedInputs, {**GIVEN, **said})
    assert inputs.model_dump(include=set(TemplateOptions.model_fields)) == said


def test_blank_options_of_a_template_are_unset() -> None:
    given = {"template_vm_id": "", "template_smoke_vmid": None, "template_smoke_gate": "", "storage_vm": ""}
    inputs = read_inputs("seed", TemplateSeedInputs, {**GIVEN, **given})
    assert inputs.model_dump(include=set(TemplateOptions.model_fields), exclude_defaults=True) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("template_vm_id", True),
        ("template_vm_id", 99),
        ("template_vm_id", "9205"),
        ("template_name", "vyos_1.5"),
        ("template_name", "-vyos"),
        ("cpu_cores", 0),
        ("memory_mb", 256),
        ("template_smoke_wait_s", 0),
        ("ci_username", "Vy Os"),
    ],
)
def test_a_value_that_proxmox_cannot_mean_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadInputs, match=name):
        read_inputs("seed", TemplateSeedInputs, {**GIVEN, name: value})


def test_a_clone_and_its_template_cannot_have_one_vmid() -> None:
    with pytest.raises(BadInputs, match="VMID of its own"):
        read_inputs("seed", TemplateSeedInputs, {**GIVEN, "template_vm_id": 9205, "template_smoke_vmid": 9205})


def test_options_of_a_template_are_refused_beside_a_seed_command() -> None:
    given = {
        "record_version": "2026.03.03-0027-rolling",
        "record_url": "https://example.org/vyos-1.5-2026.03.03-0027-rolling.qcow2",
        "record_sha256": "0" * 64,
        "seed_command": "true",
    }
    read_inputs("seed", TemplateSeedInputs, given)
    with pytest.raises(BadInputs, match="template_vm_id would not count"):
        read_inputs("seed", TemplateSeedInputs, {**given, "template_vm_id": 9205})
