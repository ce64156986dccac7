"""Waiting for a worker to end. It runs on the node and outlives this process: a later wait finds it again."""

import time
from dataclasses import dataclass

from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.progress import Progress, silent
from resources.proxmox.answers import TaskStatus, node_of
from resources.proxmox.client import ProxmoxClient
from resources.proxmox.errors import NoSuchObject, TaskFailed, TaskInterrupted, TaskSlow

_LOG_TAIL = 12
_MISSING_TOLERATED = 5


@dataclass(frozen=True)
class TaskEnd:
    """A worker that did its work. `warnings` is Proxmox' `WARNINGS: n`: done, with something to read in the log."""

    upid: str
    exitstatus: str
    log: tuple[str, ...]

    @property
    def warnings(self) -> bool:
        """Whether the worker ended with warnings."""
        return self.exitstatus.startswith("WARNINGS")


def wait_task(
    client: ProxmoxClient,
    upid: str,
    *,
    timeout_seconds: float,
    poll_seconds: float,
    stage: str = "task",
    progress: Progress = silent,
) -> TaskEnd:
    """Wait until a worker ends, and return how.

    proxmoxer's own waiter neither raises for a failed worker nor tells a timeout from an end, so this is ours.

    Args:
        client: where the worker runs.
        upid: the worker.
        timeout_seconds: how long to wait; the worker is not stopped.
        poll_seconds: the pause between two looks.
        stage: what `progress` is told.
        progress: called at every look, with unknown size.

    Raises:
        TaskFailed: it ended with an error; carries the end of its log.
        TaskInterrupted: it was killed (`unexpected status`).
        TaskSlow: it did not end in time, or the node was silent until then.
    """
    node, deadline = node_of(upid), time.monotonic() + timeout_seconds
    missing = 0
    while True:
        status: TaskStatus | None = None
        try:
            status = client.get_task(node, upid)
        except NoSuchObject:
            # Right after its start a worker may not be listed yet.
            missing += 1
            if missing > _MISSING_TOLERATED:
                raise
        except TransientError:
            # The worker goes on without us; what ends the wait is the deadline.
            pass
        if status is not None and status.status == "stopped":
            return _ended(client, node, upid, status.exitstatus or "unexpected status")
        if time.monotonic() >= deadline:
            raise TaskSlow(
                f"task {upid} did not end within {timeout_seconds:.0f} s", hint="run again: it will be waited for"
            )
        progress(stage, 0, None)
        time.sleep(poll_seconds)


def _ended(client: ProxmoxClient, node: str, upid: str, exitstatus: str) -> TaskEnd:
    log = client.list_task_log(node, upid)
    if exitstatus == "OK" or exitstatus.startswith("WARNINGS"):
        return TaskEnd(upid, exitstatus, tuple(log))
    killed = "unexpected status" in exitstatus or "interrupted by signal" in exitstatus
    raise (TaskInterrupted if killed else TaskFailed)(upid, exitstatus, log[-_LOG_TAIL:])
