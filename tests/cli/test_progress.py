"""No work is silent for long, also where there is no terminal: what goes on is named, and each guest as it starts."""

import io
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from hyops_assets.cli.console import PrintableConsole
from hyops_assets.cli.progress import REMIND_SECONDS, Lines, shown
from hyops_assets.contract.progress import POWER_ON, WAITING
from hyops_assets.contract.steps import LOGGER, timed


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def pipe(printed: io.StringIO) -> Console:
    return PrintableConsole(file=printed, width=200)


@contextmanager
def listening(lines: Lines) -> Iterator[None]:
    level = LOGGER.level
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(lines)
    try:
        yield
    finally:
        LOGGER.removeHandler(lines)
        LOGGER.setLevel(level)


def test_a_step_that_goes_on_is_named_each_half_minute_with_what_it_does(pipe: Console, printed: io.StringIO) -> None:
    lines = Lines(pipe, None)
    with listening(lines), timed("vyos_iso") as step:
        begun = time.monotonic()
        step("download", 12 << 20, 800 << 20)
        lines.remind(begun + REMIND_SECONDS / 2)
        assert printed.getvalue() == ""
        for after in (1, 1.5, 2.1):
            lines.remind(begun + after * REMIND_SECONDS + 1)
        assert printed.getvalue().splitlines() == [
            "  vyos_iso: download: 12.0 MiB of 800.0 MiB, 31 s so far",
            "  vyos_iso: download: 12.0 MiB of 800.0 MiB, 64 s so far",
        ]
    lines.remind(begun + 10 * REMIND_SECONDS)
    assert len(printed.getvalue().splitlines()) == 3


def test_work_that_reports_nothing_is_named_all_the_same(pipe: Console, printed: io.StringIO) -> None:
    lines = Lines(pipe, None)
    with listening(lines), timed("qcow2_record"):
        lines.remind(time.monotonic() + REMIND_SECONDS)
        assert printed.getvalue().startswith("  qcow2_record: at work, 30 s so far")


def test_steps_of_one_name_are_distinguished_and_a_late_report_of_one_that_ended_is_dropped(
    pipe: Console, printed: io.StringIO
) -> None:
    lines = Lines(pipe, None, ends=False)
    with listening(lines), timed("hetzner_image", "a"):
        with timed("hetzner_image", "b") as second:
            second("rescue", 0, None)
        second("write", 1, None)
        lines.remind(time.monotonic() + REMIND_SECONDS)
    assert printed.getvalue() == "  hetzner_image a: at work, 30 s so far\n"


@pytest.mark.parametrize("stage", [f"{WAITING}the guest of process 7", f"{POWER_ON}the disk under BIOS"])
def test_what_takes_minutes_is_a_line_as_it_begins(pipe: Console, printed: io.StringIO, stage: str) -> None:
    with shown(pipe), timed("boots_bios") as step:
        for done in (0, 10):
            step(stage, done, None)
        assert printed.getvalue() == f"  boots_bios: {stage}\n"


@pytest.mark.parametrize(("ended_by", "outcome"), [(ValueError, "failed"), (KeyboardInterrupt, "stopped")])
def test_a_step_that_did_not_end_well_says_so_and_is_reminded_of_no_more(
    pipe: Console, printed: io.StringIO, ended_by: type[BaseException], outcome: str
) -> None:
    lines = Lines(pipe, None)
    with listening(lines), pytest.raises(ended_by), timed("boots_bios"):
        raise ended_by
    lines.remind(time.monotonic() + 10 * REMIND_SECONDS)
    (line,) = printed.getvalue().splitlines()
    assert line.split()[:2] == ["boots_bios", outcome]


def test_nothing_reminds_once_the_work_has_ended(pipe: Console) -> None:
    with shown(pipe):
        assert "reminders" in {thread.name for thread in threading.enumerate()}
    assert "reminders" not in {thread.name for thread in threading.enumerate()}


def test_within_a_block_that_shows_steps_another_one_prints_none_twice(pipe: Console, printed: io.StringIO) -> None:
    with shown(pipe):
        with shown(pipe), timed("vyos_iso"):
            pass
        with timed("qcow2_record"):
            pass
    assert [line.split()[0] for line in printed.getvalue().splitlines()] == ["vyos_iso", "qcow2_record"]
