"""A plugin of pytest: counts a run's full-system boots, says which there were, and fails the run that had too many."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.boot_count import AT_MOST, LEDGER, noted


def pytest_configure(config: pytest.Config) -> None:
    """Give the run its ledger; its workers inherit the variable."""
    if LEDGER not in os.environ:
        descriptor, name = tempfile.mkstemp(prefix="hyops-tests-boots-")
        os.close(descriptor)
        os.environ[LEDGER] = name
        config.add_cleanup(lambda: _forget(name))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run that booted more often than it may."""
    if "PYTEST_XDIST_WORKER" not in os.environ and len(noted()) > AT_MOST:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which guests were booted, where any was."""
    boots = noted()
    if not boots:
        return
    much = len(boots) > AT_MOST
    terminalreporter.section(f"full-system boots: {len(boots)} of at most {AT_MOST}", red=much)
    for what in boots:
        terminalreporter.write_line(what)
    if much:
        terminalreporter.write_line("too many: adopt a gate of equal bytes, see docs/decisions/0006", red=True)


def _forget(name: str) -> None:
    Path(name).unlink(missing_ok=True)
    os.environ.pop(LEDGER, None)
