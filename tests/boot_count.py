"""How many guests a test run boots up to cloud-init, and the limit: each takes minutes under emulation.

A gate is passed by bytes: the positive boot of a disk is made once per firmware and run, and is adopted afterwards.
docs/decisions/0006-a-gate-is-passed-by-bytes.md lists the boots there are. A test that makes one says so: `note_boot`.
"""

import os
from pathlib import Path

AT_MOST = 5
"""Full-system boots of one run, in all its workers and passes."""

LEDGER = "HYOPS_TESTS_BOOTS"
"""Names the file in which every process of a run notes its boots. A run of several passes sets it beforehand."""


def note_boot(what: str) -> None:
    """Note that a guest is about to be booted up to cloud-init. That it is powered on once more counts as the same."""
    with Path(os.environ[LEDGER]).open("a") as ledger:
        ledger.write(f"{what}\n")


def noted() -> list[str]:
    """Return what was booted so far in this run, in any of its processes."""
    return Path(os.environ[LEDGER]).read_text().splitlines()
