"""Runs a program of this installation in a process that other processes of its user cannot read.

Usage: python -m hyops_assets.cli.closed dagster-daemon run --workspace workspace.yaml

A process is open again after each exec (prctl(2), PR_SET_DUMPABLE), so what is to be closed does it itself, before the
program's own code runs. What the program starts is as open as ever, until it does the same.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

from hyops_assets.contract.errors import Refused
from hyops_assets.image.own_process import close_to_others


class NoProgram(Refused):
    """This installation has no such program."""


def program(name: str) -> Callable[[], object]:
    """Return what a console script of this installation runs.

    Raises:
        NoProgram: there is none of that name.
    """
    found = next(iter(entry_points(group="console_scripts", name=name)), None)
    if found is None:
        raise NoProgram(f"this installation has no program {name!r}", hint="run make setup")
    return found.load()


def main(arguments: Sequence[str]) -> object:
    """Run a program as its own command line would, closed to others."""
    close_to_others()
    sys.argv = list(arguments)
    return program(arguments[0])()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # type: ignore[arg-type]  # as the script that pip writes does it
