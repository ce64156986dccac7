"""What a shell shows of a running graph: one line per step with bytes and time, and a live line on a terminal."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from hyops_assets.assets.steps import LOGGER
from hyops_assets.cli.usage import VERBOSE_ENV
from hyops_assets.contract.progress import WAITING


def in_bytes(size: float) -> str:
    """Return a size for people: `157.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


class _Lines(logging.Handler):
    """Prints a step's end, and its stages where they are wanted; keeps the live line of its stage.

    Where there is no live line, what a step waits for is printed all the same: it may take a quarter of an hour.
    """

    def __init__(self, console: Console, status: Status | None) -> None:
        super().__init__(logging.DEBUG)
        self._console = console
        self._status = status
        self._stages = bool(os.environ.get(VERBOSE_ENV))
        self._last: dict[str, str] = {}
        self._live: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        if "outcome" in fields:
            self._live.pop(fields["step"], None)
            self._console.print(
                f"  {fields['step']:<30} {fields['outcome']:<12} "
                f"{in_bytes(fields['size_bytes']) if fields['size_bytes'] else '':>10} {fields['seconds']:>7.1f} s"
            )
            return
        wanted = self._stages or (self._status is None and fields["stage"].startswith(WAITING))
        if wanted and fields["stage"] != self._last.get(fields["step"]):
            self._last[fields["step"]] = fields["stage"]
            self._console.print(f"  {fields['step']}: {fields['stage']}")
        if self._status is not None:
            total = fields["total"]
            share = f" of {in_bytes(total)}" if total else ""
            done = f": {in_bytes(fields['done'])}{share}" if fields["done"] else ""
            self._live[fields["step"]] = f"{fields['step']}: {fields['stage']}{done}"
            self._status.update(" | ".join(self._live.values()))


@contextmanager
def shown(console: Console) -> Iterator[None]:
    """Show the steps of whatever runs inside the block."""
    status = console.status("starting") if console.is_terminal else None
    handler = _Lines(console, status)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(handler)
    if status is not None:
        status.start()
    try:
        yield
    finally:
        if status is not None:
            status.stop()
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
