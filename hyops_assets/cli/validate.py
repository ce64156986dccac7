"""`hyops validate`: a module's inputs, resolved as far as that goes without changing anything. Loads no Dagster."""

import os
from pathlib import Path

from hyops_assets.cli.environment import Place
from hyops_assets.cli.inputs import UnresolvedState, load_inputs, references, resolve
from hyops_assets.cli.modules.registry import find_module
from resources.states.store import StateStore


def validate_module(place: Place, module: str, path: Path | None, *, skip_preflight: bool) -> None:
    """Validate a module's inputs and say what is not there yet.

    Raises:
        BadInputs: the inputs are wrong.
        UnresolvedState: preflight is on and a reference does not resolve.
    """
    row = find_module(module.replace(".", "/"))
    inputs = load_inputs(row, path)
    states = StateStore(place.root)
    for reference in references(inputs).values():
        try:
            resolve(states, reference)
        except UnresolvedState as error:
            if not skip_preflight:
                raise
            place.console.print(f"warning: {error.message}; {error.hint}")
    for name in inputs.required_env:
        if not os.environ.get(name):
            place.console.print(f"warning: {name} is unset; apply needs it")
    place.console.print(f"module={row.ref} status=valid")
