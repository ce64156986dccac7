"""A module's inputs: read, layered, their state references resolved, validated. Loads no Dagster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyops_assets.cli.modules.registry import Module
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import BadInputs, ModuleInputs, read_inputs
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState
from resources.states.store import StateStore
from resources.yaml_files import UnreadableYaml, read_yaml


class UnresolvedState(HyopsError):
    """A state reference leads to no state that may be consumed."""


def load_inputs(module: Module, path: Path | None) -> ModuleInputs:
    """Read and validate a module's inputs file.

    Raises:
        BadInputs: the file cannot be read, is no YAML mapping, or does not validate.
    """
    given: Any = {}
    if path is not None:
        try:
            given = read_yaml(path)
        except UnreadableYaml as error:
            raise BadInputs(error.message, hint="give a YAML file with the module's inputs") from error
        given = {} if given is None else given
    if not isinstance(given, dict):
        raise BadInputs(f"{path} holds no mapping of inputs", hint="write key: value lines")
    return read_inputs(module.ref, module.inputs, given)


def resolve(states: StateStore, reference: str) -> ModuleState:
    """Return the state that a reference leads to.

    Raises:
        UnresolvedState: there is none, or its status is not `ok`.
    """
    ref = StateRef.parse(reference)
    state = states.find(ref)
    if state is None:
        raise UnresolvedState(f"{ref} has no state", hint=f"apply its module first: hyops apply --module {ref.module}")
    if state.status != "ok":
        raise UnresolvedState(f"{ref} is not ready (status={state.status})", hint=f"apply {ref.module} again")
    return state


def references(inputs: ModuleInputs) -> Mapping[str, str]:
    """Return the state references that these inputs name, by the input's name."""
    return {
        name: value
        for name in type(inputs).model_fields
        if name.endswith("_state_ref") and (value := getattr(inputs, name))
    }
