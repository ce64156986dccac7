"""Run a program with no network at all, where this machine lets a test do so."""

import os
import shutil
import subprocess


def without_network() -> list[str]:
    """Return the words to put before a command; none where a network name space cannot be had."""
    words = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    able = (
        shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    )
    return words if able else []
