"""Which command a mistyped one meant: the one that is spelled almost the same, and no other."""

from difflib import get_close_matches

import click
from typer.core import TyperGroup

_ALIKE = 0.75
"""Of 1: `donw` is that near to `down`, while `destoy` is too far from `deploy`, and `remove` from `demo`."""


class Commands(TyperGroup):
    """Commands of which a mistyped one leads to its nearest; click offers up to three, `deploy` for `destoy` too."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, with its arguments.

        Raises:
            click.NoSuchCommand: there is none; it names the nearest one, where one is near.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand:
            # `undeploy` is near to the very command that it is meant to undo.
            known = [name for name in self.commands if not args[0].endswith(name)]
            near = get_close_matches(args[0], known, n=1, cutoff=_ALIKE)
            raise click.NoSuchCommand(args[0], possibilities=near, ctx=ctx) from None
