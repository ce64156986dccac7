"""How many guests a test run boots up to cloud-init, and the limit: each takes minutes under emulation.

A gate is passed by bytes (docs/decisions/0006): a disk's positive boot is made once per firmware and run, and whoever
needs it later adopts it. A test that boots a guest that far says so by `note_boot`; docs/testing.md lists them.
"""

import os
import tempfile
from pathlib import Path

import pytest

AT_MOST = 5
"""Full-system boots of one run, in all its workers and passes."""

_LEDGER = "HYOPS_TESTS_BOOTS"
"""Names the file in which every process of a run notes its boots. A run of several passes sets it beforehand."""


def note_boot(what: str) -> None:
    """Note that a guest is about to be booted up to cloud-init. That it is powered on once more counts as the same."""
    with Path(os.environ[_LEDGER]).open("a") as ledger:
        ledger.write(f"{what}\n")


def noted() -> list[str]:
    """Return what was booted so far in this run, in any of its processes."""
    return Path(os.environ[_LEDGER]).read_text().splitlines()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run its ledger; its workers inherit the variable."""
    if _LEDGER not in os.environ:
        descriptor, name = tempfile.mkstemp(prefix="hyops-tests-boots-")
        os.close(descriptor)
        os.environ[_LEDGER] = name
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
        terminalreporter.write_line("too many: adopt a gate of equal bytes, see docs/testing.md", red=True)


def _forget(name: str) -> None:
    Path(name).unlink(missing_ok=True)
    os.environ.pop(_LEDGER, None)
