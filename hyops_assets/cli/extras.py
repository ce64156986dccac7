"""What an extra of this package adds to the command. The lab is one (hyops_lab): nothing here imports it.

An extra is named by an entry point of the group `hyops.extras`, as Python packages offer plugins.
"""

from contextlib import AbstractContextManager
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

import typer

from hyops_assets.cli.check import Check
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.printable import printable

GROUP = "hyops.extras"
INSTALL = "make setup, in a checkout; elsewhere install the wheel with its extra: pip install '<wheel>[lab]'"
"""How an extra is installed."""
_TAKES_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class Lab(Protocol):
    """The lab, as the command uses it."""

    def add_commands(self, app: typer.Typer) -> None:
        """Add `hyops lab` and `hyops demo`; nothing of the lab is loaded before one of them runs."""

    def reach(self, root: RuntimeRoot) -> None:
        """Put the variables of an environment's running lab into this process; a lab that is down adds none."""

    def running(self, root: RuntimeRoot) -> AbstractContextManager[None]:
        """Have an environment's lab up for as long as the block lasts; one that was up before stays up."""
        ...

    def checks(self, *, needed: bool) -> list[Check]:
        """Return what this host offers for the lab, which these settings need or do not."""
        ...


def add_commands(app: typer.Typer) -> None:
    """Add the commands of every extra that is installed."""
    for extra in installed().values():
        extra.add_commands(app)
    if "lab" not in installed():
        for name in ("demo", "lab"):
            app.command(name, hidden=True, context_settings=_TAKES_ANYTHING)(_refused)


def checks(*, lab: bool) -> list[Check]:
    """Return what `hyops doctor` looks at for the extras. `lab` says whether the settings are a lab's."""
    absent = [] if "lab" in installed() else [without_the_lab("it is not installed, or cannot be loaded", needed=lab)]
    found = [check for extra in installed().values() for check in extra.checks(needed=lab)]
    return [*absent, *(check if lab or check.ok else without_the_lab(check.found, needed=False) for check in found)]


def without_the_lab(why: str, *, needed: bool) -> Check:
    """Return that the lab cannot be used: no fault where no settings need it."""
    return Check("lab", "missing", why, INSTALL) if needed else Check("lab", "ok", f"{why}; no settings here need it")


def lab() -> Lab:
    """Return the lab.

    Raises:
        Refused: it is not installed.
    """
    try:
        return installed()["lab"]
    except KeyError:
        raise Refused(
            "the lab is not installed, or this environment was installed before it was an extra", hint=INSTALL
        ) from None


@cache
def installed() -> dict[str, Lab]:
    """Return the extras by name, each looked for once in a process; one that cannot be loaded is said and left out."""
    found: dict[str, Lab] = {}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # noqa: BLE001 - a broken extra keeps no other command from working
            typer.echo(printable(f"warning: the extra {entry.name} cannot be loaded: {error}"), err=True)
    return found


def _refused() -> None:
    """Say that the lab is not there; see `lab`."""
    lab()
