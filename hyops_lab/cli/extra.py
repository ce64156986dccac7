"""The lab as an extra of this package: what its entry point names (hyops_assets/cli/extras.py).

It loads next to nothing. What the lab itself needs (its servers' library takes a second to load, and comes with the
extra only) is loaded when a command runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import typer

from hyops_assets.cli.check import Check
from hyops_assets.cli.extras import INSTALL, without_the_lab
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot

NEEDED = ("aiohttp", "trustme")
"""The packages that the extra brings; everything else of the lab's is the pipeline's too."""


class LabExtra:
    """The lab, as the command uses it (hyops_assets.cli.extras.Lab)."""

    def add_commands(self, app: typer.Typer) -> None:
        """Add `hyops lab` and `hyops demo`."""
        from hyops_lab.cli import commands

        app.add_typer(commands.top)
        app.add_typer(commands.commands, name="lab")

    def reach(self, root: RuntimeRoot) -> None:
        """Put the variables of an environment's running lab into this process.

        Raises:
            Refused: the extra's packages are not installed.
        """
        require_installed()
        from hyops_lab.cli.lab import reach_lab

        reach_lab(root)

    @contextmanager
    def running(self, root: RuntimeRoot) -> Iterator[None]:
        """Have an environment's lab up for as long as the block lasts.

        Raises:
            Refused: the extra's packages are not installed.
        """
        require_installed()
        from hyops_lab.cli.lab import lab_running

        with lab_running(root):
            yield

    def checks(self, *, needed: bool) -> list[Check]:
        """Return what this host offers for the lab; without the extra's packages, that they are missing."""
        if missing := _missing():
            return [without_the_lab(f"{' and '.join(missing)} not installed", needed=needed)]
        from hyops_lab.cli.checks import user_namespaces

        return [user_namespaces()]


LAB = LabExtra()


def require_installed() -> None:
    """Refuse to go on without the extra's packages.

    Raises:
        Refused: one is missing.
    """
    if missing := _missing():
        raise Refused(f"the lab needs {' and '.join(missing)}", hint=INSTALL)


def _missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]
