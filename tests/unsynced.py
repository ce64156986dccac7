"""Dagster's SQLite storage without what tests can spare, in the processes of tests.

- fsync: an instance commits and closes some hundred times in a run. What a killed process wrote stays, as the kernel
  has it; only a host that loses its power would lose more than with it.
- Reading the 80 migrations of each database anew for each instance, and for each run's own database.
- Building an engine and opening the file for each of a run's thousand statements: an instance keeps its connections.

    python -m tests.unsynced show --help     runs `hyops show --help` this way
"""

import functools
import os
import runpy
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType
from typing import Any

_MOST_ENGINES = 32

_connect = sqlite3.connect


@functools.wraps(_connect)
def _unsynced(*args: Any, **named: Any) -> sqlite3.Connection:
    connection = _connect(*args, **named)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def write_without_fsync() -> None:
    """Have every connection that this process opens from now on leave its writes to the kernel."""
    sqlite3.connect = _unsynced


class _Engines:
    """An engine for each database file that was used last, with its open connections."""

    def __init__(self, create: Any) -> None:
        self._create = create
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()
        os.register_at_fork(after_in_child=self._forget)

    def engine(self, url: str, *, poolclass: Any, connect_args: Mapping[str, Any] = MappingProxyType({})) -> Any:
        """Stand in for `create_engine` as Dagster's storages call it: with a pool of none, for one statement."""
        del poolclass
        with self._lock:
            if url not in self._kept:
                self._kept[url] = self._new(url, connect_args)
                if len(self._kept) > _MOST_ENGINES:
                    _, oldest = self._kept.popitem(last=False)
                    type(oldest).dispose(oldest)
            self._kept.move_to_end(url)
            return self._kept[url]

    def _new(self, url: str, connect_args: Mapping[str, Any]) -> Any:
        from sqlalchemy.pool import QueuePool

        arguments = {**connect_args, "check_same_thread": False}
        engine = self._create(url, poolclass=QueuePool, max_overflow=-1, connect_args=arguments)
        # Dagster's storage disposes of its engine after each statement.
        engine.dispose = lambda: None
        return engine

    def close(self) -> None:
        """Close every connection that is not in use, so that nothing stands beside the database files."""
        with self._lock:
            for engine in self._kept.values():
                type(engine).dispose(engine)
            self._kept.clear()

    def _forget(self) -> None:
        """Leave a parent's connections alone: no SQLite connection may be used, or closed, in a forked process."""
        self._inherited = self._kept
        self._kept = OrderedDict()
        self._lock = Lock()


def keep_connections_and_migrations() -> None:
    """Have this process read the migrations once, and keep connections for as long as an instance is open."""
    from alembic.script import ScriptDirectory
    from dagster import DagsterInstance
    from dagster._core.storage import sql
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    read, dispose = ScriptDirectory.from_config, DagsterInstance.dispose
    engines = _Engines(sql.create_engine)
    directories: dict[str, ScriptDirectory] = {}

    def from_config(config: Any) -> ScriptDirectory:
        where = config.get_main_option("script_location")
        if where not in directories:
            directories[where] = read(config)
        return directories[where]

    @functools.wraps(dispose)
    def disposed(self: DagsterInstance) -> None:
        dispose(self)
        engines.close()

    ScriptDirectory.from_config = from_config
    DagsterInstance.dispose = disposed
    for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        setattr(storage, "create_engine", engines.engine)  # noqa: B010 - each has it by import, so no checker knows it
    from_config(sql.get_alembic_config(sqlite_event_log.__file__)).as_revision_number("head")


if __name__ == "__main__":
    write_without_fsync()
    runpy.run_module("hyops_assets.cli.main", run_name="__main__", alter_sys=True)
