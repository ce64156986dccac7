"""The parts of Dagster that are not public and cannot be done without: this file alone imports them.

Each has its reason, and a test against the pinned version: `tests/test_dagster_gaps.py`, which refuses a private
import anywhere else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

# What a condition of ours returns has this type, and dagster exports the base class alone.
from dagster._core.definitions.declarative_automation.serialized_objects import AssetSubsetWithMetadata

# The public records filter takes partitions one by one: this one asks for all of a version's with one query.
from dagster._core.event_api import PartitionKeyFilter

# Which statuses a run still moves from; the public ones are listed by no name.
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["NOT_FINISHED_STATUSES", "AssetSubsetWithMetadata", "PartitionKeyFilter", "dagster_application"]


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
