"""The demo as a user runs it, on the bootable look-alike; then the UI's daemon builds a release with no hand on it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.cli.demo import RELEASE
from hyops_assets.lab.ensemble import LabFiles
from hyops_assets.lab.grub_modules import lab_cache
from tests.ui.served import CHECKOUT, Ui, serving, wait_until

NEXT = "2026.03.04-0027-rolling"
BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
SEEDS = ("core__hetzner__vyos-image-seed/latest.json", "core__onprem__vyos-template-seed/latest.json")


class Home:
    """An empty home directory in which the demo runs. Only the lab's cache is shared: Debian's packages."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / ".hybridops" / "envs" / "dev"
        cache = lab_cache().parents[1]
        self.environment = {
            "HOME": str(directory),
            "XDG_CACHE_HOME": str(cache),
            "PATH": os.environ["PATH"],
        }

    def hyops(self, *words: str, within: float) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "hyops_assets.cli.main", *words],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def state(self, path: str) -> dict[str, Any]:
        return json.loads((self.root / "state" / "modules" / path).read_text())

    def objects(self) -> dict[str, tuple[int, int]]:
        """Every published object: its inode and time of change, so that a rewrite of equal bytes shows too."""
        published = LabFiles(self.root / "work" / "lab").objects / "network" / "vyos"
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in published.iterdir()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.mark.slow
def test_the_demo_takes_a_look_alike_that_boots_through_the_whole_graph(home: Home) -> None:
    printed = home.hyops("demo", within=1200)
    for line in ("ISO", "signature key", "disk", "qcow2 record", "raw.xz record", "contract", "Proxmox template"):
        assert line in printed
    assert "boots_bios" in printed
    assert "boots_uefi" in printed
    assert home.state(BUILD)["status"] == "ok"
    assert [home.state(path)["status"] for path in SEEDS] == ["ok", "ok"]
    assert "make dev" in printed


@pytest.mark.slow
def test_the_snapshot_that_the_demo_seeded_boots_to_the_end_of_cloud_init(home: Home) -> None:
    printed = home.hyops("lab", "boot", "--env", "dev", within=900)
    rows = (line.split("│") for line in printed.splitlines() if line.count("│") == 3)
    facts = {cells[1].strip(): cells[2].strip() for cells in rows}
    assert (facts["stage"], facts["root"], facts["commands"]) == ("final", "overlay", "applied")
    assert facts["release"] == RELEASE
    assert "GiB" in facts["disk_bytes"], "the first boot finds the server's disk, not the record's"


@pytest.mark.slow
def test_a_second_demo_adopts_everything_and_sends_nothing(home: Home) -> None:
    before = home.objects(), [home.state(path) for path in (BUILD, *SEEDS)]
    printed = home.hyops("demo", within=300)
    assert "mutating calls: proxmox 0, hetzner 0; bytes sent: 0; everything was adopted" in printed
    assert (home.objects(), [home.state(path) for path in (BUILD, *SEEDS)]) == before


@pytest.mark.slow
def test_a_module_is_applied_against_a_lab_that_stays_up(home: Home) -> None:
    before = home.state(SEEDS[0])
    home.hyops("lab", "up", within=60)
    try:
        example = "modules/core/hetzner/vyos-image-seed/examples/inputs.state.yml"
        printed = home.hyops(
            "apply", "--env", "dev", "--module", "core/hetzner/vyos-image-seed", "--inputs", example, within=120
        )
    finally:
        home.hyops("lab", "down", within=60)
    assert "hetzner_image                  adopted" in printed
    assert "module=core/hetzner/vyos-image-seed status=ok" in printed
    after = home.state(SEEDS[0])
    assert (after["status"], after["outputs"] | {"image_seeded": None}) == (
        "ok",
        before["outputs"] | {"image_seeded": None},
    )
    assert Path(after["evidence_dir"], "driver_result.json").is_file()


def materialized(ui: Ui, asset: str) -> list[str]:
    """The partitions of an asset that were materialized, newest event first."""
    key = json.dumps([asset])
    answer = ui.ask(
        f"{{assetNodeOrError(assetKey: {{path: {key}}}) {{... on AssetNode "
        "{assetMaterializations(limit: 20) {partition}}}}"
    )
    return [event["partition"] for event in answer["assetNodeOrError"]["assetMaterializations"]]


@pytest.mark.slow
def test_a_release_put_into_the_feed_is_built_and_seeded_with_no_hand_on_it(home: Home, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hyops_assets.cli.main", "dev", "--port", "{port}"]
    with serving(command, home.environment, tmp_path / "dev.log", within=180) as ui:
        home.hyops("lab", "release", NEXT, within=300)
        wait_until("the contract", lambda: NEXT in materialized(ui, "published_contract"), within=900, every=5)
        for seed in ("proxmox_template", "hetzner_image"):
            wait_until(seed, lambda asset=seed: f"lab|{NEXT}" in materialized(ui, asset), within=300, every=5)
    assert home.state(BUILD)["outputs"]["record_version"] == NEXT
    assert home.state(SEEDS[0])["outputs"]["image_version"] == NEXT
    assert home.state(SEEDS[1])["outputs"]["template_image_version"] == NEXT
    assert RELEASE not in json.dumps([home.state(path) for path in SEEDS])
