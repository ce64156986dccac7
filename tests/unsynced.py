"""SQLite without fsync, in the processes of tests: an instance commits and closes some hundred times in a run.

What a killed process wrote stays, as the kernel has it. Only a host that loses its power would lose more than with it.

    python -m tests.unsynced show --help     runs `hyops show --help` this way
"""

import functools
import runpy
import sqlite3
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


if __name__ == "__main__":
    write_without_fsync()
    runpy.run_module("hyops_assets.cli.main", run_name="__main__", alter_sys=True)
