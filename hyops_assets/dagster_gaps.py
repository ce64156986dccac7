"""The parts of Dagster that are not public and cannot be done without: this file alone imports them.

Each has its reason, and a test against the pinned version: `tests/test_dagster_gaps.py`, which refuses a private
import anywhere else.
"""

import logging
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

# Executing a run that was created before, in this process: what `dagster api execute_run` does with it.
from dagster._core.definitions.job_base import InMemoryJob

# The public records filter takes partitions one by one: this one asks for all of a version's with one query.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.api import execute_run

# An instance is opened by its reference, which alone takes other settings than its file's.
from dagster._core.instance.ref import InstanceRef

# A run says in its origin which code location it is of; `execute_in_process` leaves it out.
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

# Which statuses a run still moves from; the public ones are listed by no name.
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = [
    "NOT_FINISHED_STATUSES",
    "PartitionKeyFilter",
    "ThreadedInstance",
    "dagster_application",
    "execute_here",
    "instance_of",
]

_LOCATION = "hyops_assets"
_MODULE = "hyops_assets.definitions"
_REPOSITORY = "__repository__"
"""What the repository of a module with one `Definitions` is called."""


@contextmanager
def dagster_application(instance: dg.DagsterInstance, workspace: Path, *, read_only: bool) -> Iterator["Starlette"]:
    """Yield the webserver's ASGI application for as long as the block lasts.

    `dagster-webserver` and `dagster dev` open a port of their own, which answers anyone. Served by us, in this
    process, the application has no port but the guarded one.

    Args:
        instance: what it shows.
        workspace: the `workspace.yaml` whose code locations it loads.
        read_only: whether Dagster refuses every mutation.
    """
    # The webserver takes a second to load, and only the UI needs it.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    with WorkspaceProcessContext(
        instance, WorkspaceFileTarget([str(workspace)]), version=dg.__version__, read_only=read_only
    ) as context:
        yield create_app_from_workspace_process_context(context)


class ThreadedInstance(dg.DagsterInstance):
    """An instance on which one process executes runs in several threads.

    Dagster makes the log handlers that `dagster.yaml` names anew at each run's start, by configuring the logging of
    the whole process (`logging.config.dictConfig`): that takes the lock of all logging while it waits for each
    handler's, and ends in a deadlock with a run of another thread that writes an event. Here they are made once.
    """

    _making = threading.Lock()
    _handlers: Sequence[logging.Handler] | None = None

    @staticmethod
    def config_schema() -> Mapping[str, dg.Field]:
        """Return what `dagster.yaml` may say of this class: nothing. Dagster asks each `instance_class`."""
        return {}

    @staticmethod
    def config_defaults(base_dir: str) -> Mapping[str, object]:
        """Return what stands where `dagster.yaml` says nothing: as in any instance."""
        return InstanceRef.config_defaults(base_dir)

    def get_yaml_python_handlers(self) -> Sequence[logging.Handler]:
        """Return the log handlers that `dagster.yaml` names, the same for every run."""
        with self._making:
            if self._handlers is None:
                self._handlers = super().get_yaml_python_handlers()
        return self._handlers


def instance_of(home: Path, overrides: Mapping[str, object]) -> dg.DagsterInstance:
    """Open the instance of a directory for threads, with sections of its `dagster.yaml` replaced.

    `DagsterInstance.from_config` takes none: what it opened would be opened once more, changed.

    Args:
        home: the directory in which `dagster.yaml` stands.
        overrides: sections by name, whole.
    """
    own = {"instance_class": {"module": __name__, "class": ThreadedInstance.__name__}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={**overrides, **own}))


def execute_here(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    run_id: str,
    partition_key: str,
    run_config: Mapping[str, object],
    tags: Mapping[str, str],
) -> dg.JobExecutionResult:
    """Execute a job in this process as a run of the code location that `workspace.yaml` names.

    `JobDefinition.execute_in_process` makes a run of no location: the job's page and the timeline leave it out, and
    the UI's page breaks when it is to be executed again.

    Args:
        job: of the location.
        instance: where the run is noted.
        run_id: of the new run.
        partition_key: what it is of.
        run_config: of its ops and loggers.
        tags: what it carries besides the job's own and the partition's.

    Raises:
        DagsterInvalidConfigError: the configuration is none of this job's; no run is made.
    """
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=_MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=_LOCATION)
    run = instance.create_run_for_job(
        job,
        run_id=run_id,
        run_config=run_config,
        tags={**job.run_tags, **job.get_tags_for_partition_key(partition_key, selected_asset_keys=None), **tags},
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, _REPOSITORY), job.name),
    )
    return execute_run(InMemoryJob(job), run, instance)
