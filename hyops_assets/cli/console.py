"""The console that commands print tables and lines on: what it shows is text, and changes no terminal.

Names at a cloud, values of a state and errors hold brackets, which rich takes for orders of its own: `[/tmp]` ends the
command that prints it, `[red]` is dropped. What is to be styled is a `Text`.
"""

from typing import Any

from rich.console import Console
from rich.text import Text

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.contract.printable import printable

_PIPE_WIDTH = 200
"""Columns where there is no terminal to ask."""


class PrintableConsole(Console):
    """A console on which names from a cloud or a disk are letters: orders neither to the terminal nor to rich.

    Commands in its lines are as the caller would type them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a line or a table's cell as it will be shown; rich asks for each of them here."""
        return super().render_str(printable(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print lines and tables; in a table's cells stand names, and no commands."""
        super().print(*(as_typed(one) if isinstance(one, str) else one for one in objects), **options)


def console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """Return a console on an output, as wide as its lines where that is no terminal.

    Args:
        stderr: the one for errors and progress.
        soft_wrap: leave lines whole where there is no terminal.
    """
    made = PrintableConsole(stderr=stderr)
    return made if made.is_terminal else PrintableConsole(stderr=stderr, width=_PIPE_WIDTH, soft_wrap=soft_wrap)
