"""The run's one look-alike that goes through the graph: `hyops demo` of the wheel, and what may follow it.

That a release goes through the graph with no hand on it, by the UI's daemon, is tests/ui/test_released.py.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_assets.cli.demo import RELEASE
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_assets.lab.hetzner.project import Project
from tests.boot_count import note_boot
from tests.boots import turn_to_boot
from tests.cli.home import BUILD, SEEDS, Home
from tests.cli.installed import installed_wheel

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    """A home in which the demo ran, and what it printed. Both gates booted there."""

    home: Home
    printed: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    wheel = installed_wheel(tmp_path_factory)
    home = Home(tmp_path_factory.mktemp("home"))
    note_boot("boots_bios, of the demo's record")
    note_boot("boots_uefi, of the demo's record")
    return Demo(home, wheel.hyops(home.environment, tmp_path_factory.mktemp("elsewhere"), "demo", within=1800))


@pytest.fixture
def home(demo: Demo) -> Home:
    return demo.home


def test_the_demo_of_the_wheel_takes_a_look_alike_through_the_whole_graph(demo: Demo) -> None:
    for line in ("ISO", "signature key", "disk", "qcow2 record", "raw.xz record", "contract", "Proxmox template"):
        assert line in demo.printed
    assert "boots_bios" in demo.printed
    assert "boots_uefi" in demo.printed
    assert "make dev" in demo.printed
    assert 'eval "$(hyops lab env)"' in demo.printed
    build, image, template = (demo.home.state(path) for path in (BUILD, *SEEDS))
    assert [build["status"], image["status"], template["status"]] == ["ok", "ok", "ok"]
    assert build["outputs"]["record_version"] == RELEASE
    assert image["outputs"]["image_version"] == RELEASE
    assert template["outputs"]["template_image_version"] == RELEASE
    for variant in build["outputs"]["record_variants"].values():
        assert variant["url"] in demo.printed


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_what_was_published_had_booted_from_its_own_overlay(home: Home, firmware: str) -> None:
    outputs = home.state(BUILD)["outputs"]
    document = json.loads(home.boots()[f"boots_{firmware}/{outputs['record_sha256']}.2.json"])
    assert document["passed"]
    guest = document["detail"]["guest"]
    assert guest["disk_sha256"] == outputs["record_sha256"]
    assert (guest["firmware"], guest["release"], guest["stage"]) == (firmware, RELEASE, "final")
    assert (guest["root"], guest["upper"]) == ("overlay", f"/boot/{RELEASE}/rw")


def test_the_snapshot_that_was_seeded_is_the_disk_that_booted(home: Home) -> None:
    """On a server's larger disk; that a boot on such a disk grows it is tests/image/overlay/test_growth.py."""
    build, image = (home.state(path)["outputs"] for path in (BUILD, SEEDS[0]))
    snapshot = Project(home.lab.directory / "hetzner").image_disk(int(image["image_ref"]))
    (booted,) = home.lab.objects.rglob("*.qcow2")
    assert sha256_of_file(booted) == build["record_sha256"]
    # Behind the record's end there are zeros, which differ from nothing.
    run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", snapshot, booted])
    assert snapshot.stat().st_size > build["disk_size_bytes"]


def test_a_second_demo_adopts_everything_and_sends_nothing(home: Home) -> None:
    before = home.objects(), [home.state(path) for path in (BUILD, *SEEDS)]
    printed = home.hyops("demo", within=300)
    assert "mutating calls: proxmox 0, hetzner 0; bytes sent: 0; everything was adopted" in printed
    assert (home.objects(), [home.state(path) for path in (BUILD, *SEEDS)]) == before


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


@pytest.mark.long
def test_the_snapshot_that_was_seeded_boots_to_the_end_of_cloud_init(home: Home) -> None:
    note_boot("hyops lab boot, of the snapshot that was seeded")
    with turn_to_boot():
        printed = home.hyops("lab", "boot", "--env", "dev", within=900)
    rows = (line.split("│") for line in printed.splitlines() if line.count("│") == 3)
    facts = {cells[1].strip(): cells[2].strip() for cells in rows}
    assert (facts["stage"], facts["root"], facts["commands"]) == ("final", "overlay", "applied")
    assert facts["release"] == RELEASE
    assert "GiB" in facts["disk_bytes"], "the first boot finds the server's disk, not the record's"
