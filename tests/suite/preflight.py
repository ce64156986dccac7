"""Before any test: what the suite needs is there, or the run ends with one line; SIGINT is as in a terminal."""

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping

import pytest

from hyops_assets.image.boot.gate import MissingFirmware, find_uefi_firmware
from hyops_assets.image.programs import OPTIONAL, PACKAGES

FREE_BYTES = 12 << 30
"""Two look-alikes with their disks, variants, records and stores; what passed is removed as the run goes on."""

FREE_BYTES_FOR_A_PART = 1 << 30

PROGRAMS = {name: package for name, package in PACKAGES.items() if name not in OPTIONAL} | {
    "chromium": "chromium",
    "jq": "jq",
    "make": "make",
    "zstd": "zstd",
}
"""Every program that the suite needs, and its Debian package. Tests of a build method skip without its own."""


def pytest_configure(config: pytest.Config) -> None:
    """End the run where it would fail later.

    A run of a part is for the one who knows which: it needs what its tests need.

    Raises:
        pytest.UsageError: with what is missing, in one line.
    """
    listen_to_sigint()
    if hasattr(config, "workerinput"):
        return
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    problems = [lack_of_space(tempfile.gettempdir(), FREE_BYTES if whole else FREE_BYTES_FOR_A_PART)]
    if whole:
        problems += [lack_of_programs(PROGRAMS), lack_of_firmware()]
    if found := "; ".join(problem for problem in problems if problem):
        raise pytest.UsageError(found)


def listen_to_sigint() -> None:
    """Undo an ignored SIGINT.

    A shell's background job starts with it ignored, and so would every command that a test starts and interrupts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def lack_of_programs(programs: Mapping[str, str]) -> str | None:
    """Return which programs are missing and what installs them, in one line; None where all are there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    packages = sorted({programs[program] for program in missing})
    return f"not installed: {', '.join(missing)}: apt-get install {' '.join(packages)}" if missing else None


def lack_of_firmware() -> str | None:
    """Return that QEMU has no UEFI firmware here, in one line."""
    try:
        find_uefi_firmware()
    except MissingFirmware as error:
        return f"{error.message}: {error.hint}"
    return None


def lack_of_space(directory: str, needed_bytes: int) -> str | None:
    """Return that a directory's file system is nearly full, in one line."""
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes >= needed_bytes:
        return None
    return (
        f"{directory} has {free_bytes / (1 << 30):.1f} GiB free, {needed_bytes / (1 << 30):.0f} are needed: "
        f"remove pytest-of-* of earlier runs there, or set TMPDIR"
    )
