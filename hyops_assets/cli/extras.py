"""What an extra of this package adds to the command. The lab is one (hyops_lab): nothing here imports it.

An extra is named by an entry point of the group `hyops.extras`, as Python packages offer plugins.
"""

from contextlib import AbstractContextManager
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

import typer

from hyops_assets.cli.doctor_check import HostCheck
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot

GROUP = "hyops.extras"


class Lab(Protocol):
    """The lab, as the command uses it."""

    def add_commands(self, app: typer.Typer) -> None:
        """Add `hyops lab` and `hyops demo`; nothing of the lab is loaded before one of them runs."""

    def reach(self, root: RuntimeRoot) -> None:
        """Put the variables of an environment's running lab into this process; a lab that is down adds none."""

    def running(self, root: RuntimeRoot) -> AbstractContextManager[None]:
        """Have an environment's lab up for as long as the block lasts; one that was up before stays up."""
        ...

    def checks(self) -> list[HostCheck]:
        """Return what this host offers for the lab."""
        ...


def add_commands(app: typer.Typer) -> None:
    """Add the commands of every extra that is installed."""
    for extra in installed().values():
        extra.add_commands(app)


def checks() -> list[HostCheck]:
    """Return what `hyops doctor` looks at for the extras that are installed."""
    return [check for extra in installed().values() for check in extra.checks()]


def lab() -> Lab:
    """Return the lab.

    Raises:
        Refused: it is not installed.
    """
    try:
        return installed()["lab"]
    except KeyError:
        raise Refused(
            "the environment is a lab's, and the lab is not installed", hint="pip install 'hyops-assets[lab]'"
        ) from None


@cache
def installed() -> dict[str, Lab]:
    """Return the extras by name, each looked for once in a process."""
    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}
