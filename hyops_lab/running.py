"""Run stand-ins on one event loop in a thread of their own, for as long as a block lasts."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class StandIn(Protocol):
    """A server on loopback that stands in for a system of the outside world."""

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken."""
        ...

    async def stop(self) -> None:
        """Stop listening, and end everything that was started for clients."""
        ...


@contextmanager
def running(*stand_ins: StandIn) -> Iterator[None]:
    """Start the stand-ins in order; stop them in the reverse order, those that started, whatever happens."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lab", daemon=True)
    thread.start()

    def call(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    started: list[StandIn] = []
    try:
        for stand_in in stand_ins:
            call(stand_in.start())
            started.append(stand_in)
        yield
    finally:
        for stand_in in reversed(started):
            call(stand_in.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
