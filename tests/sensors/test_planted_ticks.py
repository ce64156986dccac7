"""Ticks that fail with a secret in their chain: what Dagster stores of them is searched.

Evaluated as the code location does for the daemon, and stored as the daemon does.
"""

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import requests
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.impl import get_external_schedule_execution, get_external_sensor_execution
from dagster_shared.error import SerializableErrorInfo

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.redaction import REDACTED
from hyops_assets.definitions import build_definitions
from hyops_assets.settings.pipeline import Settings
from resources.settings import save_settings
from resources.without_config import without_config

MARK = "PLANTED"
TOKEN = f"{MARK}token0123456789"
RESOURCES = ("feed", "settings", "store", "repository", "states", "notifier")
"""All that sensors and schedules take."""
ASKING = ("vyos_rolling_release", "recipe_changes", "leftover_resources")
"""The sensors and schedules that ask a resource at every tick."""


def of_ours() -> None:
    """A library quotes part of what it was given; an error of ours is raised from it."""
    try:
        raise requests.exceptions.InvalidHeader(f"header value: 'Bearer {TOKEN[:14]}'")
    except requests.exceptions.InvalidHeader as error:
        raise TransientError(f"no answer to {TOKEN}", hint=f"look at {TOKEN}") from error


def unforeseen() -> None:
    try:
        raise KeyError(TOKEN)
    except KeyError as error:
        error.add_note(TOKEN)
        raise RuntimeError(f"https://user:{TOKEN}@host") from error


def grouped() -> None:
    raise ExceptionGroup("several", [ValueError(TOKEN), HyopsError(TOKEN, hint=TOKEN)])


class Failing:
    """In place of any resource: whatever is asked of it fails."""

    def __init__(self, way: Callable[[], None]) -> None:
        self._way = way

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._way()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def evaluated(
    definitions: dg.Definitions, name: str, instance: dg.DagsterInstance
) -> tuple[SerializableErrorInfo | None, str]:
    """Evaluate a sensor or schedule; return its error, if it failed, and all that the code location says."""
    repository = definitions.get_repository_def()
    log_key = ["ticks", name]
    if repository.has_sensor_def(name):
        origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=__file__))
        found = get_external_sensor_execution(
            repository, origin, instance.get_ref(), name, None, None, None, log_key, None
        )
    else:
        found = get_external_schedule_execution(repository, instance.get_ref(), name, None, None, log_key)
    return getattr(found, "error", None), str(found)


def stored(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield path.name, content
            if content.startswith(b"SQLite format 3\0"):
                with sqlite3.connect(path) as connection:
                    for (table,) in connection.execute(
                        "select name from sqlite_master where type = 'table'"
                    ).fetchall():
                        for row in connection.execute(f'select * from "{table}"'):
                            for value in row:
                                raw = value if isinstance(value, bytes) else str(value).encode()
                                yield f"{path.name} {table}", raw
                                try:
                                    yield f"{path.name} {table}", zlib.decompress(raw)
                                except zlib.error:
                                    continue


@pytest.mark.parametrize("when", ["when it is made", "when it is asked"])
@pytest.mark.parametrize("way", [of_ours, unforeseen, grouped])
def test_no_secret_stands_in_what_is_stored_of_a_tick_that_failed(
    way: Callable[[], None], when: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    root = RuntimeRoot(tmp_path / "root")
    save_settings(root, Settings(), heading="test")
    made = without_config(lambda _: way() if when == "when it is made" else Failing(way), "fails")
    definitions = build_definitions(root, Settings(), overrides=dict.fromkeys(RESOURCES, made))
    for name in ASKING:
        error, said = evaluated(definitions, name, instance)
        assert MARK not in said
        # Where a feed does not answer, the tick ends well, and its result says so.
        assert error is not None or (name, way, when) == ("vyos_rolling_release", of_ours, "when it is asked")
        instance.create_tick(
            TickData(
                instigator_origin_id=name,
                instigator_name=name,
                instigator_type=InstigatorType.SENSOR,
                status=TickStatus.FAILURE if error else TickStatus.SKIPPED,
                timestamp=0.0,
                selector_id=name,
                error=error,
            )
        )
    everything = list(stored(tmp_path))
    assert sorted({where for where, content in everything if MARK.encode() in content}) == []
    # The search itself finds; a group's own text names no secret.
    assert way is grouped or any(
        REDACTED.encode() in content for where, content in everything if where.endswith("job_ticks")
    )
