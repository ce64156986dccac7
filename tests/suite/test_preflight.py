"""What the suite lacks is one line before any test; SIGINT is listened to even in a shell's background job."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite.preflight import lack_of_firmware, lack_of_programs, lack_of_space

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\ntestpaths = tests\n")
    (pytester.path / "tests").mkdir()
    pytester.makepyfile(
        **{
            "tests/test_one": """
                import subprocess, sys
                def test_one():
                    look = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
                    assert subprocess.run([sys.executable, "-c", look], capture_output=True).stdout == b"False\\n"
            """
        }
    )
    return pytester


def test_a_missing_program_ends_the_whole_suite_with_one_line(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(suite.path))
    result = suite.runpytest_subprocess("-p", "tests.suite.preflight")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.outlines == []
    (line,) = [line for line in result.errlines if line]
    assert line.startswith("ERROR: not installed: xorriso, ")
    assert ": apt-get install apt bash " in line


@pytest.mark.seconds
@pytest.mark.parametrize("shared", [[], ["-n2"]], ids=["one process", "two workers"])
def test_a_part_runs_without_the_others_programs_and_interrupts_what_it_starts_though_sigint_was_ignored(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, shared: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(suite.path))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.suite.preflight", *shared, "tests/test_one.py"],
        cwd=suite.path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert ended.returncode == 0, ended.stdout


def test_a_program_is_missing_until_it_is_installed() -> None:
    assert lack_of_programs({"sh": "dash", "mkfs.ext4": "e2fsprogs"}) is None
    assert lack_of_programs({"sh": "dash", "no-such": "b", "nor-such": "a"}) == (
        "not installed: no-such, nor-such: apt-get install a b"
    )


def test_the_firmware_is_there_where_this_runs() -> None:
    assert lack_of_firmware() is None


def test_a_nearly_full_disk_is_reported_with_what_frees_it(tmp_path: Path) -> None:
    assert lack_of_space(str(tmp_path), 0) is None
    message = lack_of_space(str(tmp_path), 1 << 60)
    assert message
    assert re.fullmatch(
        rf"{tmp_path} has \d+\.\d GiB free, 1073741824 are needed: remove pytest-of-\* .*TMPDIR", message
    )


def test_a_nearly_full_disk_ends_a_run_of_a_part_too(suite: pytest.Pytester) -> None:
    """A file system of 64 KiB, in a mount namespace of its own."""
    full = suite.mkdir("full")
    ended = subprocess.run(
        [
            *("bwrap", "--dev-bind", "/", "/", "--size", "65536", "--tmpfs", full, "--setenv", "TMPDIR", full),
            *(sys.executable, "-m", "pytest", "-p", "tests.suite.preflight", "tests/test_one.py"),
        ],
        cwd=suite.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (pytest.ExitCode.USAGE_ERROR, "")
    assert ended.stderr.startswith(f"ERROR: {full} has 0.0 GiB free, 1 are needed: ")
    assert ended.stderr.count("\n") <= 2
