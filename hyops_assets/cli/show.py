"""`hyops show`: a module's state, for people or as it lies there; which environment this is; whether it is set up."""

import json
import os
from typing import Any

import typer
from rich.table import Table

from hyops_assets.cli.environment import Place
from hyops_assets.cli.modules.registry import find_module
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import StateRef
from resources.settings import load_settings
from resources.sites.registry import CLOUDS
from resources.states.store import StateStore


def show(place: Place, what: str, reference: str, *, as_json: bool) -> None:
    """Print what was asked for: `env`, `init`, `module <reference>`, or a reference alone.

    Raises:
        BadUsage: a word too many, or no reference after `module`.
        Refused: there is no such state.
        SettingsError: `pipeline.yml` does not validate.
    """
    if what in ("env", "init"):
        if reference:
            raise BadUsage(f"hyops show {what} takes nothing more, not {reference!r}", hint="leave it out")
        _print(_environment(place) if what == "env" else _initialised(place), as_json=as_json)
        return
    if what != "module" and reference:
        raise BadUsage(
            f"hyops show knows no {what!r}", hint="hyops show module <reference>, or show env, or show init"
        )
    if what == "module" and not reference:
        raise BadUsage("hyops show module names no module", hint="hyops show module <module>[#<instance>]")
    _show_state(place, reference or what, as_json=as_json)


def _show_state(place: Place, reference: str, *, as_json: bool) -> None:
    ref = StateRef.parse(reference)
    store = StateStore(place.root)
    state = store.find(ref)
    if state is None:
        # A state of another project's module is shown; without one, a name that is no module of ours is mistyped.
        find_module(ref.module)
        raise Refused(
            f"{ref} has no state in {place.root.path}",
            hint=f"hyops apply --module {ref.module}, or name an instance: {ref.module}#<instance>",
        )
    if as_json:
        typer.echo(store.path(ref).read_text(), nl=False)
        return
    console = place.console
    table = Table(title=f"{ref}: {state.status} (run {state.run_id}, {state.updated_at:%Y-%m-%d %H:%M:%S}Z)")
    table.add_column("output")
    table.add_column("value", overflow="fold")
    for name, value in sorted(state.outputs.items()):
        table.add_row(name, value if isinstance(value, str) else json.dumps(value, indent=2))
    console.print(table)
    if state.status == "error":
        console.print(f"last_error: {(state.model_extra or {}).get('last_error', '')}")


def _environment(place: Place) -> dict[str, Any]:
    settings = load_settings(place.root)
    store = StateStore(place.root)
    return {
        "runtime_root": str(place.root.path),
        "exists": place.root.path.is_dir(),
        "environment_id": settings.environment_id or "none yet: it gets one with the first command that writes",
        "settings_file": str(place.root.settings_file),
        "lab": settings.lab,
        "repository": settings.repository.kind,
        **{f"{cloud.name}_sites": sorted(settings.sites.of(cloud.name)) for cloud in CLOUDS},
        "states": {str(ref): state.status for ref, state in store.list()},
        "variables": {name: os.environ.get(name, "") for name in ("HYOPS_RUNTIME_ROOT", "HYOPS_ENV")},
    }


def _initialised(place: Place) -> dict[str, Any]:
    there = place.root.settings_file.exists()
    return {
        "initialised": there,
        "settings_file": str(place.root.settings_file),
        "written_by_a_lab": there and load_settings(place.root).lab,
        "next": "" if there else f"hyops init {place.flag}".rstrip(),
    }


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2, sort_keys=True))
        return
    for name, value in found.items():
        typer.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")
