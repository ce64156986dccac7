"""The smoke gate against a node that boots no guests: it fails truthfully and leaves no clone behind.

That a booted guest passes it is shown by the slow test below.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.record import Disk, Variant
from hyops_assets.contract.template_options import TemplateOptions
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_assets.lab.proxmox.inventory import Machine
from resources.proxmox.errors import SeedBusy, TaskFailed
from resources.proxmox.journal import SeedLimits
from resources.proxmox.lineage import description_of
from resources.proxmox.seed import ProxmoxSeeder
from tests.proxmox_scene import Scene, proxmox_scene


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


def test_what_a_live_run_is_building_is_not_taken_over(scene: Scene) -> None:
    with pytest.raises(TaskFailed):
        scene.seeder(template_smoke_gate=True).seed(scene.request())
    client = scene.client()
    other = ProxmoxSeeder(client, client.site, is_live=lambda run_id: run_id == "run-1")
    request = scene.request()

    with pytest.raises(SeedBusy, match="run run-1"):
        other.seed(type(request)(record=request.record, url=request.url, run_id="run-2", site=request.site))


@pytest.mark.slow
def test_a_clone_that_boots_with_its_agent_passes(lookalike_disk: Path, tmp_path: Path) -> None:
    """The look-alike's disk, as the pipeline builds it, seeded and booted; its own agent answers."""
    with proxmox_scene(tmp_path, boot_guests=True) as scene:
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", lookalike_disk, scene.qcow2])
        qcow2 = Variant(
            file_name=scene.qcow2.name,
            size_bytes=scene.qcow2.stat().st_size,
            sha256=sha256_of_file(scene.qcow2),
        )
        disk = Disk(size_bytes=lookalike_disk.stat().st_size, sha256=sha256_of_file(lookalike_disk))
        record = scene.record.model_copy(update={"disk": disk, "variants": {"qcow2": qcow2}})
        client = scene.client(template_smoke_gate=True)
        seeder = ProxmoxSeeder(client, client.site, limits=SeedLimits(task=300, poll=0.5))

        seeded = seeder.seed(scene.request(record), TemplateOptions(memory_mb=1024, template_smoke_wait_s=900))

        assert seeded.smoke == "passed"
        assert list(scene.stand_in.inventory.machines) == [seeded.vmid]
        assert sha256_of_file(scene.stand_in.volume_path(seeded.volid)) == disk.sha256
