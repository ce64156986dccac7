"""Which tests stay together, and which begin first, where workers share a run (pytest-xdist, `-n 3`).

The tests of a file stay together, so that what the file shares is set up once. What is long begins first, so that a
run ends with many short groups. Workers name the groups in a file of the run, where the scheduler finds them: the
process that schedules collects no tests, and the group that `--dist loadgroup` appends to a test's id does not arrive
under this pytest.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.shared_ground import run_directory

if TYPE_CHECKING:
    from tests.suite.scheduler import Scheduler

FIRST = ("tests/assets", "tests/cli", "tests/ui", "tests/chaos", "tests/lab", "tests/image", "tests/resources")
"""Floors whose tests are long, the longest first. The others follow as they come."""

ENVIRONMENTS = "ground"
"""The fixture that copies environments (tests/assets/ground.py): who takes one, directly or not, is marked with it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long forms unless they are asked for; mark who takes an environment; order for the workers."""
    for item in items:
        if ENVIRONMENTS in getattr(item, "fixturenames", ()):
            item.add_marker("environment")
    if "long" not in config.option.markexpr:
        _deselect(config, items, {item for item in items if item.get_closest_marker("long")})
    if hasattr(config, "workerinput"):
        items[:] = longest_first(items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the groups down before xdist says what was collected; every worker does, and all write the same."""
    if hasattr(session.config, "workerinput"):
        groups = groups_file(session.config)
        own = groups.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps({item.nodeid: group_of(item) for item in session.items}))
        own.rename(groups)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "Scheduler":
    """Hand the groups to the workers in the order of the tests."""
    from tests.suite.scheduler import Scheduler

    config.option.loadscopereorder = False
    return Scheduler(config, log, groups_file(config))


def groups_file(config: pytest.Config) -> Path:
    """Return where the workers of a run write its groups."""
    return run_directory(config._tmp_path_factory) / "groups.json"  # type: ignore[attr-defined]


def group_of(item: pytest.Item) -> str:
    """Return the group of a test: the one it is marked with, or its file.

    A slow test that shares nothing with its file is a group of its own.
    """
    if mark := item.get_closest_marker("xdist_group"):
        return mark.args[0]
    alone = item.get_closest_marker("slow") and not _shares_with_its_file(item)
    return item.nodeid if alone else item.nodeid.partition("::")[0]


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in groups: those with a slow test first, then by floor. Order within a group stays."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)

    def rank(group: list[pytest.Item]) -> tuple[bool, int]:
        path = group[0].nodeid
        floor = next((number for number, floor in enumerate(FIRST) if path.startswith(f"{floor}/")), len(FIRST))
        return not any(item.get_closest_marker("slow") for item in group), floor

    return [item for group in sorted(groups.values(), key=rank) for item in group]


def _shares_with_its_file(item: pytest.Item) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    scopes = {fixture.scope for defined in info.name2fixturedefs.values() for fixture in defined} if info else set()
    return not scopes.isdisjoint({"module", "class", "package"})


def _deselect(config: pytest.Config, items: list[pytest.Item], out: set[pytest.Item]) -> None:
    if out:
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=sorted(out, key=lambda item: item.nodeid))
