"""Which environment a command works in, and where it prints."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.layout import RuntimeRoot, environments, runtime_root

if TYPE_CHECKING:
    from rich.console import Console


ANNOUNCED = (
    "Specifying a partitions_def on an AssetCheckSpec is currently in preview",
    "Parameter `use_user_code_server` of initializer",
)
"""Warnings about features of Dagster that this graph uses on purpose: each is pinned, with the version of Dagster."""

_NAMING = ("HYOPS_RUNTIME_ROOT", "HYOPS_ENV")


@dataclass(frozen=True)
class Place:
    """An environment's runtime root and the name that finds it again."""

    root: RuntimeRoot
    flag: str

    @property
    def console(self) -> "Console":
        """A console on standard output, as wide as its lines where that is no terminal."""
        from hyops_assets.cli.console import console

        return console(soft_wrap=True)


def place(root: Path | None, env: str | None) -> Place:
    """Return the place that `--root`, `--env` or the process environment names.

    Raises:
        BadUsage: both are given.
        Refused: the name is not one.
    """
    if root is not None and env is not None:
        raise BadUsage("--root and --env exclude each other", hint="give one of them")
    found = runtime_root(os.environ, home=Path.home(), root=root, env=env)
    flag = f"--env {env}" if env else f"--root {root}" if root else ""
    return Place(found, flag)


def named_place(root: Path | None, env: str | None) -> Place:
    """Return the place that was named: what changes a runtime root takes none for granted.

    Raises:
        BadUsage: neither `--root` nor `--env` is given, nor is either variable set.
        Refused: the name is not one.
    """
    if root is None and env is None and not any(os.environ.get(name) for name in _NAMING):
        raise BadUsage(
            "no environment is named", hint=f"give --env <name> or --root <path>, or set {' or '.join(_NAMING)}"
        )
    return place(root, env)


def known_place(root: Path | None, env: str | None) -> Place:
    """Return the place that was named, if it is there: what writes makes no environment of a mistyped name.

    Raises:
        BadUsage: none is named, or there is no such environment; those that are there are listed.
        Refused: the name is not one.
    """
    return require_there(named_place(root, env))


def require_there(where: Place) -> Place:
    """Return a place whose environment is there.

    Raises:
        BadUsage: it is not; those that are there are listed.
    """
    path = where.root.path
    if path.is_dir():
        return where
    known = others(where)
    asked = f"there is no environment {path.name}" if _is_named(path) else f"there is no environment in {path}"
    raise BadUsage(
        f"{asked} (there are: {', '.join(known) or 'none'})" if _is_named(path) else asked,
        hint=f"name one of them, or make it: hyops init {where.flag}".rstrip(),
    )


def others(where: Place) -> list[str]:
    """Return the environments beside one that was named by `--env`; none beside a root of its own."""
    path = where.root.path
    if not _is_named(path):
        return []
    return sorted(one.name for one in path.parent.glob("*") if one.is_dir() and one != path)


def _is_named(path: Path) -> bool:
    return path.parent == environments(Path.home())


def redacted(text: str) -> str:
    """Return a text as it may be printed: without the secrets of this process' environment."""
    from resources.secrets import redactor

    return redactor().text(text)
