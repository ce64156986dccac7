"""The `hyops` command. Each group of commands has a file; each command imports its work when it runs."""

import io
import os
import signal
import sys
import threading
import warnings
from typing import Annotated

import typer

from hyops_assets.cli.as_typed import as_typed
from hyops_assets.cli.commands import disks, host, modules, not_here, sites, upkeep
from hyops_assets.cli.commands.mistyped import Commands
from hyops_assets.cli.environment import ANNOUNCED, redacted
from hyops_assets.cli.extras import add_commands
from hyops_assets.cli.faults import tell_fault
from hyops_assets.cli.usage import VERBOSE_ENV, BadUsage, NotStarted
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.printable import printable
from hyops_assets.image.space import FULL

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    # click suggests by itself: both would say it twice.
    suggest_commands=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)
add_commands(app)
for group in (host, modules, sites, disks, upkeep, not_here):
    app.add_typer(group.commands)

_CANCELLED = 128 + signal.SIGINT


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"hyops {metadata.version('hyops-assets')}")
        raise typer.Exit


@app.callback()
def hyops(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each stage of a step.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="As NO_COLOR=1.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and end.")
    ] = False,
) -> None:
    """Build once, publish once, seed many: the HyOps VyOS image pipeline from a shell."""
    # As variables, so that they hold for whatever prints in this process.
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if verbose:
        os.environ[VERBOSE_ENV] = "1"


def main() -> None:
    """Run the command; an error a user can act on is printed as such, a fault of ours as one line."""
    for message in ANNOUNCED:
        warnings.filterwarnings("ignore", message=message)
    # A path may be bytes of no encoding: shown as its escape, where Python would end with an error of its own.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    threading.excepthook = lambda thread: tell_fault(thread.exc_value)
    try:
        _run()
    # Not through `sys.excepthook`: typer puts its own there with each call.
    except Exception as fault:  # noqa: BLE001 - the net below all commands
        tell_fault(fault)
        sys.exit(1)


def _text_of(error: HyopsError) -> str:
    return redacted(as_typed(str(error)))


def _run() -> None:
    try:
        app()
    except BadUsage as error:
        typer.echo(f"ERR: {_text_of(error)}", err=True)
        sys.exit(2)
    except NotStarted as error:
        typer.echo(f"ERR: {_text_of(error)}", err=True)
        sys.exit(1)
    except HyopsError as error:
        typer.echo(f"error: {_text_of(error)}", err=True)
        sys.exit(1)
    except OSError as error:
        # A path that the user named, or that belongs to another user; without a path it is a fault of ours.
        if error.filename is None and error.errno not in FULL:
            raise
        next_step = "free some space" if error.errno in FULL else "see that this user may use it"
        typer.echo(
            redacted(f"error: {printable(str(error.filename or 'a file'))}: {error.strerror}\n  next: {next_step}"),
            err=True,
        )
        sys.exit(1)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this status and says nothing.
        if ended.code == _CANCELLED:
            typer.echo("cancelled", err=True)
        raise


if __name__ == "__main__":
    main()
