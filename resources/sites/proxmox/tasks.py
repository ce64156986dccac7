"""Waiting for a worker to end. It runs on the node and outlives this process: a later wait finds it again."""

import time
from dataclasses import dataclass

from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.progress import Progress, silent
from resources.sites.proxmox.answers import TaskStatus, node_of
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import (
    VOLUME_TAKEN,
    ImageMismatch,
    LeftoverVolume,
    NodeUnreachable,
    NoSuchObject,
    TaskBusy,
    TaskFailed,
    TaskInterrupted,
    TaskLost,
    TaskSlow,
)
from resources.transience import PROXMOX, passing

_LOG_TAIL = 12
_CAUSE_LINES = 3
_MISSING_TOLERATED = 5
SILENCE_SECONDS = 300.0
"""A node that restarts is back within; one that is not will not tell about its worker, which died with it."""


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
    silence_seconds: float = SILENCE_SECONDS,
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
        silence_seconds: how long the node may not answer at all.
        stage: what `progress` is called with.
        progress: called at every look, with unknown size.

    Raises:
        TaskFailed: it ended with an error; carries the end of its log.
        TaskInterrupted: it was killed (`unexpected status`).
        TaskBusy: it did not get a lock, and left nothing.
        TaskLost: the node does not know it, nor a moment later.
        TaskSlow: it did not end in time.
        NodeUnreachable: the node was silent for too long.
    """
    node, deadline = node_of(upid), time.monotonic() + timeout_seconds
    missing, heard = 0, time.monotonic()
    while True:
        status: TaskStatus | None = None
        try:
            status = client.get_task(node, upid)
            heard = time.monotonic()
        except NoSuchObject as error:
            # Right after its start a worker may not be listed yet.
            missing, heard = missing + 1, time.monotonic()
            if missing > _MISSING_TOLERATED:
                raise TaskLost(
                    f"node {node} does not know task {upid}", hint="run again: what the task left is looked up"
                ) from error
        except TransientError as error:
            # The worker goes on without us: a node that restarts its API is waited for.
            if time.monotonic() - heard >= silence_seconds:
                raise NodeUnreachable(
                    f"node {node} was silent for {silence_seconds:.0f} s while task {upid} ran",
                    hint="see that the node is up, then run again: what the task left is looked up",
                ) from error
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
    if "checksum mismatch" in exitstatus:
        raise ImageMismatch(upid, exitstatus, log[-_LOG_TAIL:])
    raise _kind(exitstatus, log)(upid, exitstatus, log[-_LOG_TAIL:])


def _kind(exitstatus: str, log: list[str]) -> type[TaskFailed]:
    """Return what a worker's end means. Where its status names a program alone, the cause is in the log before it."""
    if "unexpected status" in exitstatus or "interrupted by signal" in exitstatus:
        return TaskInterrupted
    if VOLUME_TAKEN.search(exitstatus):
        return LeftoverVolume
    return TaskBusy if passing(PROXMOX, exitstatus, *log[-_CAUSE_LINES:]) else TaskFailed
