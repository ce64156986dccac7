"""The smoke gate against a node that boots no guests, and one whose guests have an agent that answers.

That a router's own agent answers is asked at its first boot; that its clone passes the gate is the long form below.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hyops_assets.contract.record import Disk, Record, Variant
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_lab.proxmox import guests
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.errors import SeedBusy, TaskFailed
from resources.sites.proxmox.lineage import description_of
from resources.sites.proxmox.report import SeededTemplate
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.smoke import remove_clone
from resources.sites.proxmox.tasks import NodeJournal
from tests.boot_count import note_boot
from tests.boots import turn_to_boot
from tests.first_boot import FirstBoot
from tests.proxmox_scene import QUICK, Scene, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def test_a_template_whose_clone_does_not_start_is_not_marked_ready(scene: Scene) -> None:
    with pytest.raises(TaskFailed, match="boots no guests"):
        scene.seeder(template_smoke_gate=True).seed(scene.request())

    assert list(scene.stand_in.inventory.machines) == [9200]
    facts = scene.seeder().audit(9200)
    assert facts.lineage is not None
    assert facts.lineage.state == "building"
    assert scene.seeder().find(scene.record) is None


def test_a_site_that_turned_the_gate_off_finishes_the_template_and_says_so(scene: Scene) -> None:
    with pytest.raises(TaskFailed):
        scene.seeder(template_smoke_gate=True).seed(scene.request())

    seeded = scene.seeder().seed(scene.request())

    assert (seeded.outcome, seeded.smoke, seeded.vmid) == ("resumed", "off", 9200)


def test_a_template_that_was_never_booted_is_adopted_with_a_warning_where_the_gate_is_on(scene: Scene) -> None:
    scene.seeder().seed(scene.request())

    adopted = scene.seeder(template_smoke_gate=True).seed(scene.request())

    assert (adopted.outcome, adopted.smoke) == ("adopted", "off")
    assert any("no clone was booted" in warning for warning in adopted.warnings)


def test_a_smoke_clone_that_a_killed_run_left_is_removed(scene: Scene) -> None:
    lineage = scene.seeder().seed(scene.request()).lineage
    marked = lineage.model_copy(update={"vmid": 9299, "smoke_of": 9200})
    scene.stand_in.inventory.machines[9299] = Machine(9299, {"description": description_of(marked)})

    assert scene.seeder().seed(scene.request()).outcome == "resumed"
    assert list(scene.stand_in.inventory.machines) == [9200]


@pytest.mark.parametrize("rights", ["everything", "a pool"])
def test_a_smoke_clone_that_is_gone_before_it_is_removed_is_not_reported_as_left(scene: Scene, rights: str) -> None:
    if rights == "a pool":
        access, owner = scene.stand_in.access, {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
        access.pools["vyos"] = set()
        access.privileges = {"/": ALL_PRIVILEGES - owner, "/pool/vyos": frozenset(owner)}
    journal = NodeJournal(scene.client())

    remove_clone(scene.client(), journal, 9299)

    assert journal.warnings == []


def test_what_a_live_run_is_building_is_not_taken_over(scene: Scene) -> None:
    with pytest.raises(TaskFailed):
        scene.seeder(template_smoke_gate=True).seed(scene.request())
    client = scene.client()
    other = ProxmoxSeeder(client, client.site, is_live=lambda run_id: run_id == "run-1")
    request = scene.request()

    with pytest.raises(SeedBusy, match="run run-1"):
        other.seed(type(request)(record=request.record, url=request.url, run_id="run-2", site=request.site))


# --- a clone whose agent answers ---------------------------------------------------------------------------------

AGENT = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as channel:
    channel.bind(sys.argv[1])
    channel.listen()
    while True:
        connection, _ = channel.accept()
        with connection, connection.makefile("rw") as lines:
            for line in lines:
                asked = json.loads(line)
                lines.write(json.dumps({"return": asked.get("arguments", {}).get("id", {})}) + "\\n")
                lines.flush()
"""
"""What a guest's agent says to `guest-sync` and to `guest-ping`, on the host's end of its channel."""


def test_a_clone_whose_agent_answers_passes_and_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hardware(machine: Machine, storages: object, agent: Path, console: Path) -> list[str | Path]:
        return [sys.executable, "-c", AGENT, agent]

    monkeypatch.setattr(guests, "hardware", hardware)
    with proxmox_scene(tmp_path, boot_guests=True) as scene:
        client = scene.client(template_smoke_gate=True)
        client.timeouts = replace(QUICK, task=60, smoke=60)
        seeder = ProxmoxSeeder(client, client.site)
        seeded = seeder.seed(scene.request())
        assert seeded.smoke == "passed"
        assert list(scene.stand_in.inventory.machines) == [seeded.vmid]
        assert sha256_of_file(scene.stand_in.volume_path(seeded.volid)) == scene.record.disk.sha256


@pytest.mark.slow
@pytest.mark.xdist_group("first-boot")
def test_a_router_s_own_agent_answers_over_the_channel_that_a_node_gives_it(first_boot: FirstBoot) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", first_boot.agent)


# --- a clone that boots ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Smoked:
    """A node whose template was seeded with the gate on, and what its clone printed."""

    scene: Scene
    record: Record
    seeded: SeededTemplate
    console: str


@pytest.fixture(scope="module")
def smoked(first_boot: FirstBoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smoked]:
    """A template of a router that has booted before, on whose disk it has grown; its clone boots without metadata."""
    with proxmox_scene(tmp_path_factory.mktemp("smoked"), boot_guests=True) as scene:
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", first_boot.disk, scene.qcow2])
        qcow2 = Variant(
            file_name=scene.qcow2.name,
            size_bytes=scene.qcow2.stat().st_size,
            sha256=sha256_of_file(scene.qcow2),
        )
        disk = Disk(size_bytes=first_boot.disk.stat().st_size, sha256=sha256_of_file(first_boot.disk))
        record = scene.record.model_copy(update={"disk": disk, "variants": {"qcow2": qcow2}})
        client = scene.client(template_smoke_gate=True)
        client.timeouts = replace(QUICK, task=300, first_poll=0.5, longest_poll=0.5)
        seeder = ProxmoxSeeder(client, client.site)
        note_boot("a clone of a Proxmox template, until its agent answers")
        with turn_to_boot():
            seeded = seeder.seed(scene.request(record), TemplateOptions(memory_mb=1024, template_smoke_wait_s=900))
        (console,) = scene.directory.rglob("*.console")
        yield Smoked(scene, record, seeded, console.read_text(errors="replace"))


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.xdist_group("first-boot")
def test_a_clone_that_boots_with_its_agent_passes(smoked: Smoked) -> None:
    assert smoked.seeded.smoke == "passed"
    assert list(smoked.scene.stand_in.inventory.machines) == [smoked.seeded.vmid]
    volume = smoked.scene.stand_in.volume_path(smoked.seeded.volid)
    assert sha256_of_file(volume) == smoked.record.disk.sha256


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.xdist_group("first-boot")
def test_a_disk_that_has_grown_boots_again_and_nothing_is_changed(smoked: Smoked) -> None:
    """Its agent answers after the growing: the first boot left it so."""
    assert "hyops-grow-persistence: NOCHANGE: partition 3" in smoked.console
    assert "Nothing to do!" in smoked.console
    assert "CHANGED: partition=3" not in smoked.console
