"""A look-alike that boots, through the whole graph: by the UI's daemon with no hand on it, then by the demo."""

import json
from pathlib import Path

import pytest

from hyops_assets.cli.demo import RELEASE
from tests.boot_count import note_boot
from tests.boots import turn_to_boot
from tests.cli.gated import BUILD, SEEDS, Home
from tests.cli.installed import installed_wheel

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gated")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, gated: Home) -> Home:
    """A home in which nothing was run, but which adopts the boots that this run has made of the same disk."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.adopt_boots(gated)
    return home


def test_a_release_put_into_the_feed_is_built_and_seeded_with_no_hand_on_it(gated: Home) -> None:
    build, image, template = (gated.state(path) for path in (BUILD, *SEEDS))
    assert [build["status"], image["status"], template["status"]] == ["ok", "ok", "ok"]
    assert build["outputs"]["record_version"] == RELEASE
    assert image["outputs"]["image_version"] == RELEASE
    assert template["outputs"]["template_image_version"] == RELEASE


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_what_was_published_had_booted_from_its_own_overlay(gated: Home, firmware: str) -> None:
    outputs = gated.state(BUILD)["outputs"]
    document = json.loads(gated.boots()[f"boots_{firmware}/{outputs['record_sha256']}.2.json"])
    assert document["passed"]
    guest = document["detail"]["guest"]
    assert guest["disk_sha256"] == outputs["record_sha256"]
    assert (guest["firmware"], guest["release"], guest["stage"]) == (firmware, RELEASE, "final")
    assert (guest["root"], guest["upper"]) == ("overlay", f"/boot/{RELEASE}/rw")


def test_the_snapshot_that_was_seeded_boots_to_the_end_of_cloud_init(gated: Home) -> None:
    note_boot("hyops lab boot, of the snapshot that was seeded")
    with turn_to_boot():
        printed = gated.hyops("lab", "boot", "--env", "dev", within=900)
    rows = (line.split("│") for line in printed.splitlines() if line.count("│") == 3)
    facts = {cells[1].strip(): cells[2].strip() for cells in rows}
    assert (facts["stage"], facts["root"], facts["commands"]) == ("final", "overlay", "applied")
    assert facts["release"] == RELEASE
    assert "GiB" in facts["disk_bytes"], "the first boot finds the server's disk, not the record's"


def test_the_demo_of_the_wheel_takes_a_look_alike_through_the_whole_graph(
    home: Home, gated: Home, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    printed = installed_wheel(tmp_path_factory).hyops(home.environment, tmp_path, "demo", within=1200)
    home.assert_adopted(gated)
    for line in ("ISO", "signature key", "disk", "qcow2 record", "raw.xz record", "contract", "Proxmox template"):
        assert line in printed
    assert "boots_bios" in printed
    assert "boots_uefi" in printed
    assert home.state(BUILD)["status"] == "ok"
    assert [home.state(path)["status"] for path in SEEDS] == ["ok", "ok"]
    assert "make dev" in printed
    for variant in home.state(BUILD)["outputs"]["record_variants"].values():
        assert variant["url"] in printed
    assert 'eval "$(hyops lab env)"' in printed


def test_two_environments_make_the_same_record_of_one_release(home: Home, gated: Home) -> None:
    one, other = (environment.state(BUILD)["outputs"]["record_variants"] for environment in (home, gated))
    assert {name: one[name]["sha256"] for name in one} == {name: other[name]["sha256"] for name in other}


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
