"""A home directory in which `hyops` runs as a user runs it, with a lab of its own in the environment `dev`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from hyops_lab.ensemble import LabFiles
from hyops_lab.grub_modules import lab_cache
from tests.cli import shell

BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
SEEDS = ("core__hetzner__vyos-image-seed/latest.json", "core__onprem__vyos-template-seed/latest.json")


class Home:
    """A home directory and its environment `dev`.

    Args:
        directory: the home.
        cache: `XDG_CACHE_HOME`; the one that all runs share, with its packages and ISOs, where it is not given.
    """

    def __init__(self, directory: Path, cache: Path | None = None) -> None:
        self.directory = directory
        self.root = directory / ".hybridops" / "envs" / "dev"
        self.environment = {
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(cache or lab_cache().parents[1]),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }

    @property
    def lab(self) -> LabFiles:
        return LabFiles(self.root / "work" / "lab")

    def hyops(self, *words: str, within: float) -> str:
        done = shell.hyops(self.environment, *words, within=within)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def state(self, path: str) -> dict[str, Any]:
        return json.loads((self.root / "state" / "modules" / path).read_text())

    def objects(self) -> dict[str, tuple[int, int]]:
        """Every published object: its inode and time of change, so that a rewrite of equal bytes shows too."""
        published = self.lab.objects / "network" / "vyos"
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in published.iterdir()}

    def boots(self) -> dict[str, str]:
        """The documents of the boot gates, by gate and digest: what each firmware's guest proved, and when."""
        return boots_in(self.root)


def boots_in(root: Path) -> dict[str, str]:
    """Return the documents of an environment's boot gates, by their names below `documents/gates`."""
    gates = root / "work" / "artifacts" / "documents" / "gates"
    return {str(path.relative_to(gates)): path.read_text() for path in sorted(gates.glob("boots_*/*.json"))}
