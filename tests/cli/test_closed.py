"""A program behind `hyops_assets.cli.closed`: run for real, by an ordinary user who looks at it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PLANTED = "PLANTED-token-0123"
_SHOWS_ITSELF = """
import os, subprocess, sys

def main():
    print(" ".join(sys.argv))
    of_parent = ["cat", f"/proc/{os.getpid()}/environ"]
    print("PLANTED" in subprocess.run(of_parent, capture_output=True, text=True, check=False).stdout)
    of_itself = ["cat", "/proc/self/environ"]
    print("PLANTED" in subprocess.run(of_itself, capture_output=True, text=True, check=False).stdout)
    return 3
"""


@pytest.fixture
def installed() -> Iterator[Path]:
    """A program as pip installs one, below `/tmp` itself: pytest's directories are closed to other users."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "shows_itself.py").write_text(_SHOWS_ITSELF)
        facts = directory / "shows_itself-1.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: shows-itself\nVersion: 1\n")
        (facts / "entry_points.txt").write_text("[console_scripts]\nshows-itself = shows_itself:main\n")
        yield directory


def ran(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    return subprocess.run(
        [*who, sys.executable, *words],
        env={
            "PATH": os.environ["PATH"],
            "HCLOUD_TOKEN": PLANTED,
            "PYTHONPATH": str(installed),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_another_process_of_the_user_reads_no_environment_of_it_and_what_it_starts_goes_on_as_ever(
    installed: Path,
) -> None:
    closed = ran(installed, "-m", "hyops_assets.cli.closed", "shows-itself", "run", "--once")
    assert (closed.returncode, closed.stdout.splitlines()) == (3, ["shows-itself run --once", "False", "True"])
    # Without it the environment is there to be read: the look itself is a look.
    bare = ran(installed, "-c", "import shows_itself; shows_itself.main()")
    assert bare.stdout.splitlines()[1] == "True"


def test_a_program_that_is_not_installed_is_named(installed: Path) -> None:
    assert (
        "this installation has no program 'no-such'"
        in ran(installed, "-m", "hyops_assets.cli.closed", "no-such").stderr
    )
