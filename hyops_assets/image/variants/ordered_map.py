"""Work on all cores whose results come back in the order of their items, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_IN_FLIGHT_PER_THREAD = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    items: Iterator[Item], work: Callable[[Item], Result], *, threads: int
) -> Generator[tuple[Item, Result], None, None]:
    """Do some work on every item, several at a time; yield items with their results in the items' order.

    At most eight items per thread are taken ahead of the one that is yielded: that bounds the memory. Closing the
    iterator drops what has not begun and waits for what has.

    Args:
        items: drawn in the calling thread.
        work: called in several threads at once. It is worth its thread where it releases the interpreter's lock,
            as compressors and digests do.
        threads: at least one.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()

    def oldest() -> tuple[Item, Result]:
        item, result = pending.popleft()
        return item, result.result()

    with _workers(threads) as workers:
        for item in items:
            pending.append((item, workers.submit(work, item)))
            if len(pending) >= threads * _IN_FLIGHT_PER_THREAD:
                yield oldest()
        while pending:
            yield oldest()


@contextmanager
def _workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that stop with the block: what has not begun by then is dropped."""
    executor = ThreadPoolExecutor(count)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)
