"""The run's one look-alike that goes through the graph: built, gated in QEMU and seeded by a live daemon.

Every other environment that takes the same look-alike through the graph adopts its two boots, as a gate is passed by
bytes (docs/decisions/0006): `adopt_boots` puts the gates' documents there, and `assert_adopted` finds them unchanged.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.demo import RELEASE
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.lab.ensemble import LabFiles
from hyops_assets.lab.grub_modules import lab_cache
from tests.boot_count import note_boot
from tests.cli import shell
from tests.shared_ground import made_once
from tests.ui.served import Ui, serving, wait_until

BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
SEEDS = ("core__hetzner__vyos-image-seed/latest.json", "core__onprem__vyos-template-seed/latest.json")
_HYOPS = [sys.executable, "-m", "hyops_assets.cli.main"]


class Home:
    """A home directory and its environment `dev`. Only the lab's cache is shared: Debian's packages, the ISOs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / ".hybridops" / "envs" / "dev"
        self.environment = {
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(lab_cache().parents[1]),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }

    def hyops(self, *words: str, within: float) -> str:
        done = shell.hyops(self.environment, *words, within=within)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def state(self, path: str) -> dict[str, Any]:
        return json.loads((self.root / "state" / "modules" / path).read_text())

    def objects(self) -> dict[str, tuple[int, int]]:
        """Every published object: its inode and time of change, so that a rewrite of equal bytes shows too."""
        published = LabFiles(self.root / "work" / "lab").objects / "network" / "vyos"
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in published.iterdir()}

    def boots(self) -> dict[str, str]:
        """The documents of the boot gates, by gate and digest: what each firmware's guest proved, and when."""
        gates = self.root / "work" / "artifacts" / "documents" / "gates"
        return {str(path.relative_to(gates)): path.read_text() for path in sorted(gates.glob("boots_*/*.json"))}

    def adopt_boots(self, other: "Home") -> None:
        """Let this environment adopt the boots of another for as long as it makes the same bytes."""
        gates = self.root / "work" / "artifacts" / "documents" / "gates"
        for name, document in other.boots().items():
            (gates / name).parent.mkdir(parents=True)
            (gates / name).write_text(document)

    def assert_adopted(self, other: "Home") -> None:
        """Fail where this environment booted a disk itself: it then made other bytes than the other did."""
        mine, theirs = self.boots(), other.boots()
        assert mine == theirs, f"this disk was booted although {sorted(theirs)} were: found {sorted(mine)}"


def gated_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return the home of this run in which RELEASE was built and seeded with no hand on it; nothing runs there."""
    return Home(made_once(tmp_path_factory, "gated-home", _release))


def _release(directory: Path) -> None:
    """Have `hyops dev` find a release that is put into the lab's feed, and wait until it is seeded everywhere."""
    home = Home(directory)
    home.hyops("lab", "up", "--release", "", within=120)
    try:
        command = [*_HYOPS, "dev", "--port", "{port}"]
        log = directory / "dev.log"
        with serving(command, home.environment, RuntimeRoot(home.root), log, within=180) as ui:
            home.hyops("lab", "release", RELEASE, within=600)
            note_boot("boots_bios, of the release that the daemon built")
            note_boot("boots_uefi, of the release that the daemon built")
            wait_until("the contract", lambda: RELEASE in _materialized(ui, "published_contract"), within=1200)
            for seed in ("proxmox_template", "hetzner_image"):
                wait_until(seed, lambda asset=seed: f"lab|{RELEASE}" in _materialized(ui, asset), within=300)
    finally:
        home.hyops("lab", "down", within=60)


def _materialized(ui: Ui, asset: str) -> list[str]:
    """Return the partitions of an asset that were materialized, newest event first."""
    key = json.dumps([asset])
    answer = ui.ask(
        f"{{assetNodeOrError(assetKey: {{path: {key}}}) {{... on AssetNode "
        "{assetMaterializations(limit: 20) {partition}}}}"
    )
    return [event["partition"] for event in answer["assetNodeOrError"]["assetMaterializations"]]
