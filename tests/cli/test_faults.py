"""The net below `hyops`, tried through its entry points: a command that raises what nothing foresaw."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.shell import CHECKOUT, HYOPS, environment

TOKEN = "tok-0123456789-abcdef"
_BREAKS = """
import os, threading
import hyops_assets.contract.layout as layout

def runtime_root(*args, **named):
    {how}

layout.runtime_root = runtime_root
"""
"""Python runs a `sitecustomize` before a program: it breaks a function of ours from outside of the product."""

_ENTRIES = [HYOPS, [str(Path(sys.executable).with_name("hyops"))]]


def broken(directory: Path, how: str, entry: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in which a function of ours does this."""
    (directory / "sitecustomize.py").write_text(_BREAKS.format(how=how))
    own = {"PYTHONPATH": str(directory), "TMPDIR": str(directory), "MY_API_TOKEN": TOKEN}
    return subprocess.run(
        [*entry, "show", "env"],
        env=environment(directory) | own,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def reported(ran: subprocess.CompletedProcess[str], directory: Path) -> tuple[str, str]:
    """Return the one line, and what the private file holds."""
    (kept,) = directory.glob("hyops-fault-*.txt")
    found = re.fullmatch(
        rf"error: a fault of hyops itself: (.*)\n  next: report it, with {re.escape(str(kept))}\n", ran.stderr
    )
    assert found, ran.stderr
    assert kept.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in kept.read_text() + ran.stderr + ran.stdout
    return found[1], kept.read_text()


@pytest.mark.parametrize("entry", _ENTRIES, ids=["module", "script"])
def test_a_command_that_raises_ends_in_one_line_and_a_private_file_without_secrets(
    tmp_path: Path, entry: list[str]
) -> None:
    ran = broken(tmp_path, "raise KeyError('got ' + os.environ['MY_API_TOKEN'])", entry)
    line, kept = reported(ran, tmp_path)
    assert ran.returncode == 1
    assert line.startswith("KeyError: 'got ")
    assert "Traceback" in kept
    assert "runtime_root" in kept


def test_a_fault_of_many_lines_is_reported_in_one(tmp_path: Path) -> None:
    ran = broken(tmp_path, "raise ValueError('one\\n\\ntwo ' + os.environ['MY_API_TOKEN'] + 'x' * 5000)", HYOPS)
    line, kept = reported(ran, tmp_path)
    assert ran.returncode == 1
    assert line.startswith("ValueError: one two ")
    assert len(line) < 400
    assert "x" * 5000 in kept


def test_a_fault_in_a_thread_is_reported_likewise(tmp_path: Path) -> None:
    how = (
        "one = threading.Thread(target=lambda: int('got ' + os.environ['MY_API_TOKEN'])); one.start(); one.join(); "
        "raise SystemExit(0)"
    )
    line, _ = reported(broken(tmp_path, how, HYOPS), tmp_path)
    assert line.startswith("ValueError: invalid literal for int")
