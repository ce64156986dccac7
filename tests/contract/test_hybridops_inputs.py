import pytest

from hyops_assets.contract.hybridops_inputs import REFUSED
from hyops_assets.contract.inputs import BadInputs, ImageSeedInputs, TemplateSeedInputs, read_inputs

GIVEN = {"record_state_ref": "core/shared/vyos-image-build#vyos_default_build"}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_input_that_means_nothing_here_is_refused_by_name_with_why(name: str) -> None:
    for model in (TemplateSeedInputs, ImageSeedInputs):
        with pytest.raises(BadInputs, match=f"{name}: "):
            read_inputs("seed", model, {**GIVEN, name: "something"})


def test_blank_ones_of_hybridops_examples_are_let_pass() -> None:
    read_inputs("seed", TemplateSeedInputs, {**GIVEN, "proxmox_host": "", "ssh_private_key": None})
