"""Waiting for a worker to end. It runs on the node and outlives this process: a later wait finds it again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.progress import Progress, silent
from resources.sites.journal import Journal
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


@dataclass
class NodeJournal(Journal):
    """The journal of a seed at a node: it waits for the node's workers, and keeps their ids and warnings."""

    client: ProxmoxClient
    upids: list[str] = field(default_factory=list[str], kw_only=True)

    def work(self, stage: str, ask: Callable[[], str]) -> TaskEnd:
        """Ask for a worker and wait for it; again, for as long as an outage may last, where it did not get a lock."""
        return self.client.patiently(TaskBusy)(lambda: self.wait(stage, ask()))

    def wait(self, stage: str, upid: str) -> TaskEnd:
        """Wait for a worker, and keep its id and its warnings. Raises as `wait_task`."""
        self.upids.append(upid)
        end = wait_task(self.client, upid, stage=stage, progress=self.progress)
        if end.warnings:
            self.warn(f"{stage}: {end.exitstatus}: {' / '.join(end.log[-4:])}")
        return end


def wait_task(client: ProxmoxClient, upid: str, *, stage: str = "task", progress: Progress = silent) -> TaskEnd:
    """Wait until a worker ends, and return how; one that does not end in time is not stopped.

    proxmoxer's own waiter neither raises for a failed worker nor tells a timeout from an end, so this is ours.

    Args:
        client: where the worker runs.
        upid: the worker.
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
    node, timeouts = node_of(upid), client.timeouts
    missing, heard = 0, time.monotonic()

    def look() -> TaskEnd | None:
        nonlocal missing, heard
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
            if time.monotonic() - heard >= timeouts.silence:
                raise NodeUnreachable(
                    f"node {node} was silent for {timeouts.silence:.0f} s while task {upid} ran",
                    hint="see that the node is up, then run again: what the task left is looked up",
                ) from error
        if status is not None and status.status == "stopped":
            return _ended(client, node, upid, status.exitstatus or "unexpected status")
        progress(stage, 0, None)
        return None

    end = timeouts.poll(look, within=timeouts.task)
    if end is None:
        raise TaskSlow(
            f"task {upid} did not end within {timeouts.task:.0f} s", hint="run again: it will be waited for"
        )
    return end


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
