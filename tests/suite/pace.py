"""The suite stays quick: the run ends with its slowest tests and its floors, and a slow test without the mark fails.

Without a mark a test is `make test-fast`'s, and may take 10 seconds of its own, setup included, as
tests/suite/clock.py counts them: most take a fiftieth of one. With `seconds` or `environment` it may take 20, and with
`slow` what it needs. What it spent on ground that the whole run shares is the run's, not the test's.
"""

from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.shared_ground import seconds_of_ground, spent
from tests.suite.clock import Seconds

LIMIT_SECONDS = 10.0
"""Of a test without a mark, on a machine many times slower than the one it was measured on."""
SLOW = ("slow", "long", "alone")
LONGER = ("seconds", "environment")
"""Marks of tests that may take twice the limit."""
SLOWEST = 20

_ON_REPORT = "own_seconds"


class Pace:
    """Takes the time of each phase of each test, and sums it up where the reports of all workers arrive."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._read = self._spent = self._test = Seconds()
        self._of_test: dict[str, float] = defaultdict(float)
        self._ground: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Begin a test."""
        self._read, self._spent, self._test = Seconds.now(), spent(), Seconds()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """End a phase. The report carries its seconds from the worker to the process that prints them."""
        report = yield
        now, ground = Seconds.now(), spent()
        own = (now - self._read) - (ground - self._spent)
        self._read, self._spent = now, ground
        setattr(report, _ON_REPORT, own.wall)
        if report.when != "teardown":
            self._test += own
        if report.when == "call" and report.passed and (more := self._over(item)):
            report.outcome = "failed"
            report.longrepr = more
        return report

    def _over(self, item: pytest.Item) -> str:
        """Return what a test took too much, if it did."""
        longer = _has_one_of(LONGER, item)
        limit = self._limit * 2 if longer else self._limit
        if _has_one_of(SLOW, item) or self._test.alone <= limit:
            return ""
        return (
            f"took {self._test.alone:.0f} s of its own, setup included; a test without the mark "
            f"`{'slow' if longer else 'seconds'}` may take {limit:.0f}: make it cheaper (docs/testing.md), or mark it"
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the seconds of a phase."""
        self._of_test[report.nodeid] += getattr(report, _ON_REPORT, 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Print what the run took, where."""
        if not self._of_test or hasattr(config, "workerinput"):
            return
        terminalreporter.section("seconds, without shared ground")
        for nodeid, seconds in sorted(self._of_test.items(), key=lambda entry: -entry[1])[:SLOWEST]:
            terminalreporter.write_line(f"{seconds:8.1f}  {nodeid}")
        terminalreporter.write_line("per floor:")
        for floor, (seconds, count) in sorted(per_floor(self._of_test).items(), key=lambda entry: -entry[1][0]):
            terminalreporter.write_line(f"{seconds:8.1f}  {floor} ({count} tests)")
        if self._ground:
            terminalreporter.write_line("shared ground, made once:")
            for name, seconds in sorted(self._ground.items(), key=lambda entry: -entry[1]):
                terminalreporter.write_line(f"{seconds:8.1f}  {name}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Read what the ground took before pytest removes the directory of a run that passed."""
        base: Path | None = session.config._tmp_path_factory._basetemp  # type: ignore[attr-defined]
        self._ground = seconds_of_ground(base) if base else {}


def per_floor(of_test: dict[str, float]) -> dict[str, tuple[float, int]]:
    """Return seconds and number of tests of each directory below tests/, and of tests/ itself."""
    floors: dict[str, tuple[float, int]] = {}
    for nodeid, seconds in of_test.items():
        parts = Path(nodeid.partition("::")[0]).parts
        floor = "/".join(parts[:2]) if len(parts) > 2 else "/".join(parts[:-1]) or "."
        before, count = floors.get(floor, (0.0, 0))
        floors[floor] = before + seconds, count + 1
    return floors


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of this file set another limit."""
    parser.addini("fast_test_seconds", "what a test without a mark may take", default=str(LIMIT_SECONDS))


def pytest_configure(config: pytest.Config) -> None:
    """Take the time in the process that runs tests, and print it in the one that has the terminal."""
    config.pluginmanager.register(Pace(float(config.getini("fast_test_seconds"))), "pace")


def _has_one_of(marks: tuple[str, ...], item: pytest.Item) -> bool:
    return any(item.get_closest_marker(mark) for mark in marks)
