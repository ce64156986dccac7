"""The `hyops` command. Each group of commands has a file; each command imports its work when it runs."""

import signal
import sys
import warnings

import typer

from hyops_assets.cli.commands import disks, host, lab, modules
from hyops_assets.cli.environment import ANNOUNCED, redacted
from hyops_assets.cli.usage import BadUsage, NotStarted
from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.space import FULL

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Build once, publish once, seed many: the HyOps VyOS image pipeline from a shell.",
)
for group in (host, modules, disks):
    app.add_typer(group.commands)
app.add_typer(lab.commands, name="lab")

_CANCELLED = 128 + signal.SIGINT


def main() -> None:
    """Run the command; an error a user can act on is printed as such, without a traceback."""
    for message in ANNOUNCED:
        warnings.filterwarnings("ignore", message=message)
    try:
        app()
    except BadUsage as error:
        typer.echo(f"ERR: {error}", err=True)
        sys.exit(2)
    except NotStarted as error:
        typer.echo(f"ERR: {redacted(str(error))}", err=True)
        sys.exit(1)
    except HyopsError as error:
        typer.echo(f"error: {redacted(str(error))}", err=True)
        sys.exit(1)
    except OSError as error:
        # A path that the user named, or that belongs to another user; without a path it is a fault of ours.
        if error.filename is None and error.errno not in FULL:
            raise
        next_step = "free some space" if error.errno in FULL else "see that this user may use it"
        typer.echo(f"error: {error.filename or 'a file'}: {error.strerror}\n  next: {next_step}", err=True)
        sys.exit(1)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this status and says nothing.
        if ended.code == _CANCELLED:
            typer.echo("cancelled", err=True)
        raise


if __name__ == "__main__":
    main()
