"""Dagster's SQLite storage without what tests can spare, in the processes of tests.

- fsync: an instance commits and closes some hundred times in a run. What a killed process wrote stays, as the kernel
  has it; only a host that loses its power would lose more than with it.
- Reading the 80 migrations of each database anew for each instance, and for each run's own database.
- Building an engine for each statement: one that pools nothing serves every statement on its file.

    python -m tests.unsynced show --help     runs `hyops show --help` this way
"""

import functools
import runpy
import sqlite3
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_connect = sqlite3.connect


@functools.wraps(_connect)
def _unsynced(*args: Any, **named: Any) -> sqlite3.Connection:
    connection = _connect(*args, **named)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def write_without_fsync() -> None:
    """Have every connection that this process opens from now on leave its writes to the kernel."""
    sqlite3.connect = _unsynced


def reuse_engines_and_migrations() -> None:
    """Have this process read the migrations once, and build one engine for each database file."""
    from alembic.script import ScriptDirectory
    from dagster._core.storage import sql
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    read, create = ScriptDirectory.from_config, sql.create_engine

    @functools.lru_cache(maxsize=64)
    def shared(url: str, arguments: tuple[tuple[str, Any], ...], poolclass: Any) -> Any:
        return create(url, poolclass=poolclass, connect_args=dict(arguments))

    def create_engine(url: str, *, poolclass: Any, connect_args: Mapping[str, Any] = MappingProxyType({})) -> Any:
        return shared(url, tuple(connect_args.items()), poolclass)

    directories: dict[str, ScriptDirectory] = {}

    def from_config(config: Any) -> ScriptDirectory:
        where = config.get_main_option("script_location")
        if where not in directories:
            directories[where] = read(config)
        return directories[where]

    ScriptDirectory.from_config = from_config
    for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        setattr(storage, "create_engine", create_engine)  # noqa: B010 - each has it by import, so no checker knows it
    from_config(sql.get_alembic_config(sqlite_event_log.__file__)).as_revision_number("head")


if __name__ == "__main__":
    write_without_fsync()
    runpy.run_module("hyops_assets.cli.main", run_name="__main__", alter_sys=True)
