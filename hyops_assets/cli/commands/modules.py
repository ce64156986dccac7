"""Commands about a module: validate, plan, apply, show."""

from typing import Annotated

import typer

from hyops_assets.cli.environment import known_place, named_place, place
from hyops_assets.cli.options import (
    BypassReason,
    Env,
    Inputs,
    Instance,
    Module,
    ModuleRoot,
    OutDir,
    Root,
    SkipPreflight,
)

commands = typer.Typer()


@commands.command()
def validate(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Resolve and validate a module's inputs; write a run record, and no state."""
    from hyops_assets.cli.prepare import ModuleCommand
    from hyops_assets.cli.validate import validate_module

    where = named_place(root, env)
    validate_module(
        ModuleCommand(
            "validate", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir
        )
    )


@commands.command()
def plan(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Say what apply would do: what is adopted, what is made, under which names. Changes nothing."""
    from hyops_assets.cli.plan import plan_module
    from hyops_assets.cli.prepare import ModuleCommand

    where = known_place(root, env)
    plan_module(
        ModuleCommand(
            "plan", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir
        )
    )


@commands.command("deploy", help="The same as apply.")
@commands.command()
def apply(
    module: Module,
    inputs: Inputs = None,
    skip_preflight: SkipPreflight = False,
    bypass_reason: BypassReason = "",
    state_instance: Instance = "",
    module_root: ModuleRoot = None,
    out_dir: OutDir = None,
    env: Env = None,
    root: Root = None,
) -> None:
    """Run a module: the same graph, on the same Dagster instance, as in the UI."""
    from hyops_assets.cli.apply import apply_module
    from hyops_assets.cli.prepare import ModuleCommand

    where = known_place(root, env)
    apply_module(
        ModuleCommand(
            "apply", where, module, inputs, state_instance, module_root, skip_preflight, bypass_reason, out_dir
        )
    )


@commands.command()
def show(
    what: Annotated[str, typer.Argument(help="module, env, init, or a state reference: <module>[#<instance>].")],
    reference: Annotated[str, typer.Argument(help="State reference, after the word module.")] = "",
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON; a state as it lies there.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Show a module's state, or the environment."""
    from hyops_assets.cli.show import show as show_what

    show_what(place(root, env), what, reference, as_json=json_)
