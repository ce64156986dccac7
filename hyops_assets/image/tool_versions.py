"""Which versions of the host's programs a build used: evidence for explaining a difference."""

import importlib.metadata
import platform
import re
import zlib
from collections.abc import Iterable

from hyops_assets.image.programs import find_program, run

_ASK = {
    "busybox": "--help",
    "debugfs": "-V",
    "e2fsck": "-V",
    "mkfs.ext4": "-V",
    "minisign": "-v",
    "mkfs.fat": "--help",
    "mksquashfs": "-version",
    "openssl": "version",
    "unsquashfs": "-version",
    "xorriso": "-version",
}
"""How each is asked; all others understand --version."""

_NUMBER = re.compile(r"\d+\.\d+[\w.+:~-]*")


def tool_versions(programs: Iterable[str]) -> dict[str, str]:
    """Return each program's version; `unknown` where its answer holds no number.

    Raises:
        MissingProgram: one is not installed.
    """
    return {program: _version(program) for program in sorted(programs)}


def library_versions() -> dict[str, str]:
    """Return the versions of what turns bytes into other bytes within this process."""
    return {
        "jinja2": importlib.metadata.version("jinja2"),
        "python": platform.python_version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


def _version(program: str) -> str:
    find_program(program)
    # Some programs print their version and then exit as if misused.
    answer = run([program, _ASK.get(program, "--version")], timeout=30, ok=range(256))
    match = _NUMBER.search(f"{answer.stdout.decode(errors='replace')}\n{answer.stderr}")
    return match[0] if match else "unknown"
