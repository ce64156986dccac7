"""`hyops validate`: a module's inputs, resolved as far as that goes without changing anything. Loads no Dagster."""

import os
from pathlib import Path
from typing import Any

from hyops_assets.cli.environment import Place
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.inputs import BadInputs, BuildInputs, ModuleInputs, SeedInputs, read_inputs
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState
from resources.states.store import StateStore
from resources.yaml_files import UnreadableYaml, read_yaml


class UnresolvedState(HyopsError):
    """A state reference leads to no state that may be consumed."""


def load_inputs(module: str, path: Path | None) -> ModuleInputs:
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
    return read_inputs(module.replace(".", "/"), given)


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


def references(inputs: ModuleInputs) -> list[str]:
    """Return the state references that these inputs name."""
    named = []
    if isinstance(inputs, BuildInputs):
        named.append(inputs.repo_state_ref)
    if isinstance(inputs, SeedInputs):
        named.append(inputs.record_state_ref)
    return [reference for reference in named if reference]


def validate_module(place: Place, module: str, path: Path | None, *, skip_preflight: bool) -> None:
    """Validate a module's inputs and say what is not there yet.

    Raises:
        BadInputs: the inputs are wrong.
        UnresolvedState: preflight is on and a reference does not resolve.
    """
    inputs = load_inputs(module, path)
    states = StateStore(place.root)
    for reference in references(inputs):
        try:
            resolve(states, reference)
        except UnresolvedState as error:
            if not skip_preflight:
                raise
            place.console.print(f"warning: {error.message}; {error.hint}")
    for name in inputs.required_env:
        if not os.environ.get(name):
            place.console.print(f"warning: {name} is unset; apply needs it")
    place.console.print(f"module={module} status=valid")
