"""What a shell shows of running work: one line per step with bytes and time, and a live line on a terminal.

No step is silent for long: where there is no live line, one that goes on is named each half minute, whether it reports
anything or not. So every command that works for minutes wraps its work in `shown`, or in `busy`.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.status import Status

from hyops_assets.cli.usage import VERBOSE_ENV
from hyops_assets.contract.progress import POWER_ON, WAITING
from hyops_assets.contract.steps import BEGUN, LOGGER, Step, timed

REMIND_SECONDS = 30.0
"""After that long without a line about a step that goes on, one says so."""


def in_bytes(size: float) -> str:
    """Return a size for people: `157.3 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


@dataclass
class _Running:
    """A step that goes on: since when, what it does, and when a line last said so. Times are monotonic seconds."""

    step: str
    since: float
    line_at: float
    stage: str = ""
    doing: str = ""


class Lines(logging.Handler):
    """Prints a step's end, and its stages where they are wanted; keeps the live line of its stage.

    Where there is no live line, what a step waits for and what goes on for long is printed all the same: it may take a
    quarter of an hour.

    Args:
        console: where lines go.
        status: the live line; None where there is no terminal.
        ends: whether a step's end is a line. Where another line says the same, reminders alone are wanted.
    """

    def __init__(self, console: Console, status: Status | None, *, ends: bool = True) -> None:
        super().__init__(logging.DEBUG)
        self._console = console
        self._status = status
        self._ends = ends
        self._stages = bool(os.environ.get(VERBOSE_ENV))
        # By id: two sites are seeded at once, each by steps of the same name.
        self._running: dict[int, _Running] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record of `hyops_assets/contract/steps.py`; another one of that logger is no step's."""
        fields, now = vars(record), time.monotonic()
        if "step_id" not in fields:
            return
        step_id = int(fields["step_id"])
        if "outcome" in fields:
            self._running.pop(step_id, None)
            self._show_live()
            if self._ends:
                self._print_end(fields)
            return
        stage = str(fields["stage"])
        if stage == BEGUN:
            self._running[step_id] = _Running(f"{fields['step']} {fields['at']}".rstrip(), now, now)
        # A thread of a step that ended may report once more.
        if (running := self._running.get(step_id)) is None:
            return
        before, running.stage = running.stage, stage
        running.doing = _doing(fields)
        if stage != before and self._is_wanted(stage):
            running.line_at = now
            self._console.print(f"  {running.step}: {stage}")
        self._show_live()

    def remind(self, now: float) -> None:
        """Print a line for each step that went on without one for `REMIND_SECONDS`.

        Args:
            now: monotonic seconds.
        """
        self.acquire()
        try:
            for running in self._running.values():
                if now - running.line_at >= REMIND_SECONDS:
                    running.line_at = now
                    self._console.print(f"  {running.step}: {running.doing}, {now - running.since:.0f} s so far")
        finally:
            self.release()

    def _is_wanted(self, stage: str) -> bool:
        return self._stages or stage.startswith(POWER_ON) or (self._status is None and stage.startswith(WAITING))

    def _show_live(self) -> None:
        if self._status is not None:
            self._status.update(" | ".join(f"{one.step}: {one.doing}" for one in self._running.values()))

    def _print_end(self, fields: dict[str, object]) -> None:
        size, seconds = float(str(fields["size_bytes"])), float(str(fields["seconds"]))
        shown_size = in_bytes(size) if size else ""
        self._console.print(f"  {fields['step']:<30} {fields['outcome']:<12} {shown_size:>10} {seconds:>7.1f} s")


def _doing(fields: dict[str, object]) -> str:
    """Return what a step does, and how far it is: `download: 12.0 MiB of 800.0 MiB`."""
    stage, done, total = str(fields["stage"]), float(str(fields["done"])), fields["total"]
    if stage == BEGUN:
        return "at work"
    of_all = f" of {in_bytes(float(str(total)))}" if total else ""
    return f"{stage}: {in_bytes(done)}{of_all}" if done else stage


@contextmanager
def shown(console: Console, *, ends: bool = True) -> Iterator[None]:
    """Show the steps of whatever runs inside the block. Within another such block that one shows them, and alone.

    Args:
        console: where lines go.
        ends: whether a step's end is a line.
    """
    if any(isinstance(handler, Lines) for handler in LOGGER.handlers):
        yield
        return
    status = console.status("starting") if console.is_terminal else None
    handler = Lines(console, status, ends=ends)
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(handler)
    if status is not None:
        status.start()
    try:
        # The live line says what goes on at any time; only where there is none, lines have to.
        with _reminding(handler) if status is None else _nothing_more():
            yield
    finally:
        if status is not None:
            status.stop()
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)


@contextmanager
def busy(console: Console, what: str, *, ends: bool = True) -> Iterator[Step]:
    """Show one piece of work as a step: what goes on while it lasts, and its end.

    Args:
        console: where lines go.
        what: the work, as its line names it.
        ends: whether its end is a line.
    """
    with shown(console, ends=ends), timed(what) as step:
        yield step


@contextmanager
def _reminding(handler: Lines) -> Iterator[None]:
    ended = threading.Event()

    def remind() -> None:
        while not ended.wait(REMIND_SECONDS / 6):
            handler.remind(time.monotonic())

    thread = threading.Thread(target=remind, name="reminders", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _nothing_more() -> Iterator[None]:
    yield
