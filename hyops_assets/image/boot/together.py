"""Several guests at once in one thread: each boot is a generator that pauses where it waits.

One thread, so that what ends a run (Ctrl-C, a cancelled run, an error of one boot) ends every guest: closing a
generator leaves its `with` blocks.
"""

import selectors
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Pause:
    """What a boot waits for: bytes at a file descriptor, or the end of that many seconds."""

    seconds: float
    descriptor: int | None = None


T = TypeVar("T")
Paused = Generator[Pause, bool, T]
"""A boot: it yields what it waits for, is sent whether its descriptor can be read, and returns its result."""


def alone(boot: Paused[T]) -> T:
    """Run one boot to its end and return its result; what it raises passes through."""
    return together([boot])[0]


def together(boots: Sequence[Paused[T]]) -> list[T]:
    """Run boots side by side until all have ended; return their results in the same order.

    What one of them raises ends the others and passes through: a boot that fails as such returns that.
    """
    results: dict[int, T] = {}
    waiting: dict[int, tuple[Pause, float]] = {}

    def go_on(number: int, *, readable: bool | None = None) -> None:
        waiting.pop(number, None)
        try:
            pause = next(boots[number]) if readable is None else boots[number].send(readable)
        except StopIteration as end:
            results[number] = end.value
        else:
            waiting[number] = pause, time.monotonic() + pause.seconds

    try:
        for number in range(len(boots)):
            go_on(number)
        while waiting:
            readable = _readable(list(waiting.values()))
            for number, (pause, until) in list(waiting.items()):
                if pause.descriptor in readable:
                    go_on(number, readable=True)
                elif time.monotonic() >= until:
                    go_on(number, readable=False)
    finally:
        for boot in boots:
            boot.close()
    return [results[number] for number in range(len(boots))]


def _readable(waiting: list[tuple[Pause, float]]) -> set[int | None]:
    """Wait until a descriptor can be read or the first pause is over; return the descriptors that can be read."""
    with selectors.DefaultSelector() as selector:
        for pause, _ in waiting:
            if pause.descriptor is not None:
                selector.register(pause.descriptor, selectors.EVENT_READ)
        first = min(until for _, until in waiting)
        return {key.fd for key, _ in selector.select(max(0.0, first - time.monotonic()))}
