"""Workers: what Proxmox forks for every long call, and the UPID by which a client asks for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from hyops_assets.contract.errors import HyopsError
from hyops_lab.proxmox.answers import ApiError
from hyops_lab.proxmox.inventory import Inventory, Task

Log = Callable[[str], None]
Work = Callable[[Log], Awaitable[None]]


class Workers:
    """Runs work beside the API. A worker outlives the request that asked for it, not the node."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._running: dict[str, asyncio.Task[None]] = {}
        self.delay_seconds = 0.0
        self.exit_statuses: dict[str, str] = {}
        """What a worker of a type ends with instead of OK, for tests: {"qmcreate": "WARNINGS: 1"}."""
        self.refusals: dict[str, list[str]] = {}
        """What the next workers of a type end with before they begin, for tests: a lock that they do not get."""

    def fork(
        self,
        kind: str,
        subject: str,
        user: str,
        work: Work,
        *,
        undo: Callable[[], None] = lambda: None,
        node: str = "",
    ) -> str:
        """Start a worker and return its UPID.

        Args:
            kind: its type, such as `qmcreate`.
            subject: what it works on: a VMID, a file name.
            user: who started it.
            work: what it does.
            undo: what it does instead of ending well, when it fails or is interrupted at any point.
            node: where it runs; the cluster's first node where none is named.
        """
        pid, now = self._inventory.next_pid(), int(time.time())
        pstart = pid * 100
        node = node or self._inventory.node
        upid = f"UPID:{node}:{pid:08X}:{pstart:08X}:{now:08X}:{kind}:{subject}:{user}:"
        task = Task(upid, node, pid, pstart, now, kind, subject, user)
        self._inventory.tasks[upid] = task
        self._inventory.save()
        self._running[upid] = asyncio.create_task(self._run(task, work, undo, self.delay_seconds))
        return upid

    def stop(self, upid: str) -> None:
        """Ask a worker to end, as SIGTERM does: its own cleanup runs."""
        if upid in self._running:
            self._running[upid].cancel()

    async def stop_all(self) -> None:
        """End every worker and wait for their cleanup."""
        running = list(self._running.values())
        for worker in running:
            worker.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, task: Task, work: Work, undo: Callable[[], None], delay_seconds: float) -> None:
        status = "interrupted by signal"
        try:
            await asyncio.sleep(delay_seconds)
            if self.refusals.get(task.type):
                raise ApiError(500, self.refusals[task.type].pop(0))
            await work(task.log.append)
            status = self.exit_statuses.get(task.type, "OK")
        except asyncio.CancelledError:
            undo()
            task.log.append("received interrupt")
        except (ApiError, HyopsError, OSError) as error:
            undo()
            status = " ".join(str(error).split())
        finally:
            task.log.append(
                "TASK OK" if status == "OK" else f"TASK {status}" if "WARN" in status else "TASK ERROR: " + status
            )
            task.exitstatus, task.endtime = status, int(time.time())
            self._inventory.save()
            del self._running[task.upid]
