"""The judge of chaos sees what is left, unfinished or wrong: a judge that passes everything proves nothing."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.clouds import CLOUDS, Cloud
from hyops_assets.contract.record import Disk, Record
from hyops_lab.ensemble import Ensemble
from hyops_lab.hetzner.project import Image, Key, Task
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.lineage import TemplateLineage, description_of

DISK = b"vyos" * 1024
NOW = datetime(2026, 3, 3, tzinfo=UTC)
RECORD = Record(
    key="vyos-1.5",
    version="2026.03.03-0027-rolling",
    disk=Disk(size_bytes=len(DISK), sha256=hashlib.sha256(DISK).hexdigest()),
    variants={},
    lab=True,
)
HETZNER, PROXMOX = CLOUDS["hetzner"], CLOUDS["proxmox"]


def found(cloud: Cloud, lab: Ensemble) -> str:
    return "; ".join(cloud.problems(lab, RECORD))


@pytest.fixture
def lab(tmp_path: Path) -> Ensemble:
    """Both clouds with one ready image of the record, as a good seed leaves them; it does not serve."""
    lab = Ensemble(tmp_path / "lab")
    project = lab.hetzner.project
    project.contents.images[7] = Image(
        id=7,
        kind="snapshot",
        name=None,
        description="x",
        created=NOW,
        labels={"hyops_state": "ready"},
        protected=True,
    )
    project.image_disk(7).write_bytes(DISK + b"the server's own")
    (lab.files.directory / "proxmox" / "spool").mkdir()
    (lab.files.directory / "proxmox" / "storage" / "local" / "import" / "a.qcow2").touch()
    lineage = TemplateLineage(
        vmid=9000,
        node="pve1",
        key=RECORD.key,
        version=RECORD.version,
        record_digest=RECORD.digest,
        disk_sha256=RECORD.disk.sha256,
        qcow2_sha256=RECORD.disk.sha256,
        source_url="https://x.example/a.qcow2",
        seed_id="seed",
        run_id="run",
        state="ready",
    )
    lab.proxmox.inventory.machines[9000] = Machine(
        9000, {"template": 1, "scsi0": "local-lvm:base-9000-disk-0", "description": description_of(lineage)}
    )
    lab.proxmox.volume_path("local-lvm:base-9000-disk-0").write_bytes(DISK + bytes(512))
    lab.proxmox.volume_path("local-lvm:vm-9000-cloudinit").touch()
    return lab


def test_what_a_good_seed_leaves_passes(lab: Ensemble) -> None:
    assert found(HETZNER, lab) == found(PROXMOX, lab) == ""
    assert HETZNER.is_ready(lab)
    assert PROXMOX.is_ready(lab)


def test_nothing_at_all_does_not_pass(tmp_path: Path) -> None:
    empty = Ensemble(tmp_path / "lab")
    (empty.files.directory / "proxmox" / "spool").mkdir()
    assert found(HETZNER, empty) == "not one snapshot alone: nothing"
    assert "not one ready template alone: nothing" in found(PROXMOX, empty)


def test_a_key_a_running_action_and_a_disk_that_nothing_names_are_seen(lab: Ensemble) -> None:
    contents = lab.hetzner.project.contents
    contents.keys[8] = Key(id=8, name="k", public_key="", fingerprint="", created=NOW)
    contents.tasks[9] = Task(id=9, command="delete_server", resources=[], started=NOW)
    lab.hetzner.project.server_disk(5).touch()
    assert found(HETZNER, lab) == (
        "not one snapshot alone: key; snapshot available, ready, protected; actions still run: ['delete_server'];"
        " files of disks that nothing names: ['server-5.disk']"
    )


@pytest.mark.parametrize("change", [{"protected": False}, {"labels": {"hyops_state": "pending"}}])
def test_an_unprotected_or_pending_snapshot_is_seen(lab: Ensemble, change: dict[str, object]) -> None:
    images = lab.hetzner.project.contents.images
    images[7] = images[7].model_copy(update=change)
    assert "snapshot 7 is available" in found(HETZNER, lab)


def test_another_disk_is_seen_in_both_clouds(lab: Ensemble) -> None:
    lab.hetzner.project.image_disk(7).write_bytes(bytes(len(DISK)))
    lab.proxmox.volume_path("local-lvm:base-9000-disk-0").write_bytes(bytes(len(DISK)))
    assert f"not {RECORD.disk.sha256}" in found(HETZNER, lab)
    assert f"not {RECORD.disk.sha256}" in found(PROXMOX, lab)


def test_a_second_machine_a_spare_volume_and_a_partial_download_are_seen(lab: Ensemble) -> None:
    lab.proxmox.inventory.machines[9001] = Machine(9001, {"lock": "create", "scsi0": "local-lvm:vm-9001-disk-0"})
    lab.proxmox.volume_path("local-lvm:vm-9001-disk-0").write_bytes(DISK)
    (lab.files.directory / "proxmox" / "storage" / "local" / "import" / "b.qcow2.tmp_dwnl.1").touch()
    report = found(PROXMOX, lab)
    assert "not one ready template alone: template ready; machine unnamed, locked (create)" in report
    assert "vm-9001-disk-0" in report
    assert "b.qcow2.tmp_dwnl.1" in report
