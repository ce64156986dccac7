"""`hyops show`: a module's state, for people or as it lies there."""

import json

from rich.table import Table

from hyops_assets.cli.environment import Place
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import StateRef
from resources.states.store import StateStore


def show_state(place: Place, reference: str, *, as_json: bool) -> None:
    """Print a state.

    Raises:
        Refused: there is no such state.
    """
    ref = StateRef.parse(reference)
    store = StateStore(place.root)
    state = store.find(ref)
    if state is None:
        raise Refused(
            f"{ref} has no state in {place.root.path}",
            hint=f"hyops apply --module {ref.module}, or name an instance: {ref.module}#<instance>",
        )
    if as_json:
        place.console.print(store.path(ref).read_text(), end="", soft_wrap=True, markup=False)
        return
    table = Table(title=f"{ref}: {state.status} (run {state.run_id}, {state.updated_at:%Y-%m-%d %H:%M:%S}Z)")
    table.add_column("output")
    table.add_column("value", overflow="fold")
    for name, value in sorted(state.outputs.items()):
        table.add_row(name, value if isinstance(value, str) else json.dumps(value, indent=2))
    place.console.print(table)
