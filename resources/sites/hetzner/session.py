"""Asynchronous work for a caller that is not: it runs on an event loop in a thread of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from hyops_assets.contract.progress import Progress

Result = TypeVar("Result")
_Report = tuple[str, int, int | None]
_Started = tuple[asyncio.AbstractEventLoop, "asyncio.Task[Any]"]


def run_session(work: Callable[[Progress], Coroutine[Any, Any, Result]], progress: Progress) -> Result:
    """Run asynchronous work to its end, and report its progress from the calling thread.

    Dagster interrupts a run by raising from a signal handler, in the main thread. Inside an event loop that tears
    whatever callback is running; here it arrives between two reports, and the work is cancelled in good order. The
    same holds for what `progress` raises.
    """
    reports: SimpleQueue[_Report | None] = SimpleQueue()
    started: Future[_Started] = Future()

    async def session() -> Result:
        task = asyncio.current_task()
        if task is not None:
            started.set_result((asyncio.get_running_loop(), task))
        return await work(lambda stage, done, total: reports.put((stage, done, total)))

    with ThreadPoolExecutor(1, thread_name_prefix="rescue") as pool:
        outcome = pool.submit(lambda: asyncio.run(session()))
        outcome.add_done_callback(lambda _: reports.put(None))
        try:
            while (report := reports.get()) is not None:
                progress(*report)
            return outcome.result()
        except BaseException:
            loop, task = started.result()
            # Closed: the work ended by itself meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)
            raise
