"""`hyops apply`: a module, as its row in the registry does it."""

from pathlib import Path

from hyops_assets.cli import lab
from hyops_assets.cli.environment import Place
from hyops_assets.cli.inputs import load_inputs, references, resolve
from hyops_assets.cli.modules.registry import find_module
from hyops_assets.cli.modules.work import Work
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import StateRef
from resources.settings import load_settings
from resources.states.store import StateStore


def apply_module(place: Place, module: str, path: Path | None, state_instance: str) -> None:
    """Apply a module and say what became of it.

    Raises:
        BadInputs: the inputs are wrong; nothing was started.
        UnresolvedState: a state reference does not resolve; nothing was started.
        RunFailed: the run failed.
    """
    asked = StateRef.parse(f"{module}#{state_instance}" if state_instance else module)
    row = find_module(asked.module)
    inputs = load_inputs(row, path)
    states = StateStore(place.root)
    resolved = {name: resolve(states, reference) for name, reference in references(inputs).items()}
    settings = load_settings(place.root)
    own = row.instance(inputs, settings, asked.instance)
    if asked.instance not in (None, own):
        raise Refused(
            f"{row.ref} writes the state instance {own or 'latest'}, not {asked.instance}",
            hint="leave --state-instance out; sites choose the instance of a seed",
        )
    work = Work(place, StateRef(row.ref, own), inputs, settings, resolved, run_id="")
    lab.reach_lab(place.root)
    place.console.print(f"module={row.ref} status=running")
    done = row.apply(work)
    place.console.print(f"module={row.ref} status=ok run_id={done.driver.get('dagster_run_id', '')}")
