import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boot_count import AT_MOST, LEDGER
from tests.ui.served import CHECKOUT

TEST = "from tests.boot_count import note_boot\ndef test_it(): [note_boot('a guest') for _ in range({})]\n"


def run_of(boots: int, directory: Path, *, ledger: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a suite of one test that notes some boots."""
    (directory / "test_it.py").write_text(TEST.format(boots))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.suite.boot_limit", "-c", os.devnull]
    kept = {name: value for name, value in os.environ.items() if name != LEDGER and "XDIST" not in name}
    given = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | ({} if ledger is None else {LEDGER: str(ledger)})
    return subprocess.run(
        [*argv, "--rootdir", directory, directory / "test_it.py"],
        cwd=CHECKOUT,
        env=kept | given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("boots", [0, AT_MOST])
def test_a_run_within_the_limit_passes_and_says_what_it_booted(boots: int, tmp_path: Path) -> None:
    done = run_of(boots, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (f"full-system boots: {boots} of at most {AT_MOST}" in done.stdout) == bool(boots)


def test_a_run_that_boots_more_often_fails_although_its_tests_pass(tmp_path: Path) -> None:
    done = run_of(AT_MOST + 1, tmp_path)
    assert (done.returncode, "1 passed" in done.stdout) == (1, True), done.stdout + done.stderr
    assert "too many: adopt a gate of equal bytes" in done.stdout


@pytest.mark.seconds
def test_several_passes_of_a_run_are_counted_together(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    codes = [run_of(AT_MOST, tmp_path, ledger=ledger).returncode for _ in range(2)]
    assert codes == [0, 1]
