from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.urls import BadUrl
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.lab.proxmox.faults import Fault
from resources.proxmox.errors import SeedFailed, SiteNotReady, TaskFailed
from tests.proxmox_scene import VERSION, Scene, make_record, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def test_a_seed_creates_a_template_whose_disk_is_the_records_disk(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request())

    assert (seeded.outcome, seeded.vmid, seeded.node) == ("created", 9200, "pve1")
    assert seeded.name == "vyos-1-5-2026-03-03-0027-rolling-r2"
    assert seeded.volid == "local-lvm:base-9200-disk-0"
    assert seeded.disk_size_bytes == scene.record.disk.size_bytes
    assert seeded.bytes_transferred == scene.qcow2.stat().st_size
    assert seeded.lineage.state == "ready"
    assert [upid.split(":")[5] for upid in seeded.upids] == ["download", "qmcreate", "qmtemplate"]
    assert sha256_of_file(scene.stand_in.volume_path(seeded.volid)) == scene.record.disk.sha256


def test_a_second_seed_adopts_with_no_changing_call_and_no_bytes(scene: Scene) -> None:
    first = scene.seeder().seed(scene.request())
    before = scene.mutations()

    second = scene.seeder().seed(scene.request())

    assert scene.mutations() == before
    assert (second.outcome, second.vmid, second.lineage) == ("adopted", first.vmid, first.lineage)
    assert (second.bytes_transferred, second.upids) == (0, ())
