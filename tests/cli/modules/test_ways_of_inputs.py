"""Each input of a module reaches its run by one way: configuration, a private document, or the shell alone.

What has power (a command, a path, the name of a variable) is never configuration: decision 19.
"""

import pytest

from hyops_assets.assets.records import RebuildOptions
from hyops_assets.cli.modules.registry import MODULES
from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED
from resources.sites.registry import row_of

HOST = {*HandedOver.model_fields, "seed_wrapper_public_base_url", "seed_wrapper_bind_port"}
SHELL = {
    IMAGE_BUILD: {"record_key", "record_format", "record_version", "allow_iso_build", "notes"},
    # Which record, and where: resolved before a run is made, whose partition is what they came to.
    TEMPLATE_SEED: {
        "record_state_ref", "record_key", "record_url", "record_format", "record_version", "record_sha256",
        "image_source_url", "template_source_url", "site", "notes",
    },
}  # fmt: skip
SHELL[IMAGE_SEED] = SHELL[TEMPLATE_SEED] - {"template_source_url"}


@pytest.mark.parametrize("module", SHELL)
def test_each_input_has_one_way_to_its_run(module: str) -> None:
    inputs = MODULES[module].inputs
    options = RebuildOptions if module == IMAGE_BUILD else row_of(inputs.cloud).options
    graph, fields = set(options.model_fields), set(inputs.model_fields)
    assert graph & HOST == set()
    assert fields - graph - HOST == SHELL[module]


@pytest.mark.parametrize("module", SHELL)
def test_what_a_run_s_configuration_takes_is_the_very_field_of_the_inputs(module: str) -> None:
    inputs = MODULES[module].inputs
    options = RebuildOptions if module == IMAGE_BUILD else row_of(inputs.cloud).options
    for name in options.model_fields.keys() & inputs.model_fields.keys():
        assert repr(options.model_fields[name]) == repr(inputs.model_fields[name]), name
