"""`hyops` without a checkout: the wheel, installed by itself beside the locked packages."""

import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from hyops_assets.image.programs import run
from tests.cli.shell import CHECKOUT
from tests.shared_ground import made_once


class Installed:
    """An environment of Python's that holds the wheel alone, and sees the packages of the one that tests run in."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "venv" / "bin"

    def hyops(self, environ: Mapping[str, str], cwd: Path, *words: str, within: float = 120) -> str:
        """Run a command with no checkout in reach, and return what it printed."""
        done = subprocess.run(
            [self.bin / "hyops", *words],
            env={**environ, "PATH": f"{self.bin}:{environ['PATH']}"},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, cwd: Path, script: Path) -> str:
        """Run a Python script with no checkout in reach, and return what it printed."""
        return run([self.bin / "python", script], cwd=cwd).text


def installed_wheel(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the wheel of this checkout, built and installed once in this run of tests."""

    def make(directory: Path) -> None:
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], cwd=CHECKOUT)
        (wheel,) = directory.glob("*.whl")
        run([sys.executable, "-m", "venv", "--without-pip", directory / "venv"])
        uv = Path(sys.executable).with_name("uv")
        python = directory / "venv" / "bin" / "python"
        run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel])
        locked = sysconfig.get_path("purelib")
        (site,) = (directory / "venv" / "lib").glob("python3*/site-packages")
        # A plain line puts the directory on the path; what its own .pth files say, the checkout among it, is not read.
        (site / "locked.pth").write_text(f"{locked}\n")

    return Installed(made_once(tmp_path_factory, "wheel", make))
