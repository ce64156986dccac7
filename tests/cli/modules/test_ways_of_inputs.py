"""Each input of a module reaches its run by one way: configuration, a private document, or the shell alone.

What has power (a command, a path, the name of a variable) is never configuration: decision 19.
"""

import pytest
from pydantic import BaseModel

from hyops_assets.assets.records import RebuildOptions
from hyops_assets.cli.modules.registry import MODULES
from hyops_assets.contract.handed_over import BuildCommands, SeedCommand
from hyops_assets.contract.references import IMAGE_BUILD, IMAGE_SEED, TEMPLATE_SEED
from resources.sites.registry import row_of

BOTH = {IMAGE_BUILD: {"source_iso_url"}}
"""A public URL of an ISO is configuration; a path of this host is handed over (`cli/graph.py`)."""
HANDED_OVER = {
    IMAGE_BUILD: {*BuildCommands.model_fields, "required_env", "record_local_path", "repo_state_ref"},
    TEMPLATE_SEED: {*SeedCommand.model_fields, "required_env"},
    IMAGE_SEED: {
        *SeedCommand.model_fields, "required_env", "seed_wrapper_public_base_url", "seed_wrapper_bind_port",
    },
}  # fmt: skip
# Which record, and where: resolved before a run is made, whose partition is what they came to.
_RECORD = {
    "record_state_ref", "record_key", "record_url", "record_format", "record_version", "record_sha256",
    "image_source_url", "source_iso_url", "site", "notes",
}  # fmt: skip
SHELL = {
    IMAGE_BUILD: {"record_key", "record_format", "record_version", "allow_iso_build", "notes"},
    TEMPLATE_SEED: _RECORD | {"template_source_url"},
    IMAGE_SEED: _RECORD,
}


def options_of(module: str) -> type[BaseModel]:
    """The model of what a run's configuration may ask for a module."""
    return RebuildOptions if module == IMAGE_BUILD else row_of(MODULES[module].inputs.cloud).options


@pytest.mark.parametrize("module", SHELL)
def test_each_input_has_one_way_to_its_run(module: str) -> None:
    inputs = set(MODULES[module].inputs.model_fields)
    ways = (
        options_of(module).model_fields.keys() & inputs,
        HANDED_OVER[module],
        SHELL[module],
        BOTH.get(module, set()),
    )
    assert sorted(name for way in ways for name in way) == sorted(inputs)
