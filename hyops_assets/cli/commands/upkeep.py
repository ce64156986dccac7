"""Commands that look after what stands: cleanup, drift, forget."""

from typing import Annotated

import typer

from hyops_assets.cli.environment import known_place
from hyops_assets.cli.options import Env, Root

commands = typer.Typer()


@commands.command()
def cleanup(
    apply: Annotated[bool, typer.Option("--apply/--plan", help="Remove it; the default only tells.")] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Find what is superseded or left over at every site and on this host; remove it with --apply."""
    from hyops_assets.cli.cleanup import run_cleanup

    raise typer.Exit(run_cleanup(known_place(root, env), apply=apply))


@commands.command()
def drift(env: Env = None, root: Root = None) -> None:
    """See whether what was seeded and published still stands as it was left. Ends with 1 where it does not."""
    from hyops_assets.cli.drift import run_drift

    raise typer.Exit(run_drift(known_place(root, env)))


@commands.command()
def forget(
    name: Annotated[str, typer.Argument(help="A record version, or proxmox/<site> or hetzner/<site>.")],
    apply: Annotated[
        bool, typer.Option("--apply/--plan", help="Forget it; the default lists what refers to it.")
    ] = False,
    referred_to: Annotated[
        bool, typer.Option("--referred-to", help="Forget it although documents or states refer to it.")
    ] = False,
    env: Env = None,
    root: Root = None,
) -> None:
    """Take a mistyped version or a removed site out of dialogs and grids; what refers to it is listed first."""
    from hyops_assets.cli.forget import run_forget

    run_forget(known_place(root, env), name, apply=apply, referred_to=referred_to)
