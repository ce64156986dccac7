"""Imported by the server that forks children, for what it leaves loaded.

A process' first run of Dagster takes two seconds of imports and of reading migrations; a run in a fork of a process
that has done one takes none of them.
"""

import tempfile

import dagster as dg

import chaos.child  # noqa: F401 - what the children run


@dg.job
def _nothing() -> None:
    pass


with tempfile.TemporaryDirectory() as _home, dg.DagsterInstance.local_temp(_home) as _instance:
    _nothing.execute_in_process(
        instance=_instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
