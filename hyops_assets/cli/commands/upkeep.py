"""Commands that look after what stands: cleanup, drift."""

from typing import Annotated

import typer

from hyops_assets.cli.environment import named_place
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

    raise typer.Exit(run_cleanup(named_place(root, env), apply=apply))


@commands.command()
def drift(env: Env = None, root: Root = None) -> None:
    """See whether what was seeded and published still stands as it was left. Ends with 1 where it does not."""
    from hyops_assets.cli.drift import run_drift

    raise typer.Exit(run_drift(named_place(root, env)))
