"""Which environment a command works in, and where it prints."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyops_assets.contract.layout import RuntimeRoot, runtime_root

if TYPE_CHECKING:
    from rich.console import Console


ANNOUNCED = (
    "Specifying a partitions_def on an AssetCheckSpec is currently in preview",
    "Parameter `use_user_code_server` of initializer",
)
"""Warnings about features of Dagster that this graph uses on purpose: each is pinned, with the version of Dagster."""


@dataclass(frozen=True)
class Place:
    """An environment's runtime root and the name that finds it again."""

    root: RuntimeRoot
    flag: str

    @property
    def console(self) -> "Console":
        """A console on standard output, as wide as its lines where that is no terminal."""
        from rich.console import Console

        console = Console(highlight=False)
        return console if console.is_terminal else Console(highlight=False, width=200, soft_wrap=True)


def place(root: Path | None, env: str | None) -> Place:
    """Return the place that `--root`, `--env` or the process environment names.

    Raises:
        Refused: both are given, or the name is not one.
    """
    found = runtime_root(os.environ, home=Path.home(), root=root, env=env)
    flag = f"--env {env}" if env else f"--root {root}" if root else ""
    return Place(found, flag)
