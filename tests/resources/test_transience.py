"""What passes by itself passes at every door of both clouds: an answer, a worker's end, the log before it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hcloud import APIException

from hyops_assets.contract.errors import HyopsError, TransientError
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_lab.faults import Answer, Rule
from resources.sites.hetzner.errors import HetznerError, HetznerUnavailable, NotOffered, translated
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import DiskUnseen, MachineLocked, NodeBusy, TaskBusy, TaskFailed, error_for
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.tasks import wait_task
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene

BUSY = (
    "can't lock file '/var/lock/qemu-server/lock-9200.conf' - got timeout",
    "can't acquire lock '/var/lock/pve-manager/pve-storage-local-lvm' - Interrupted system call",
    "cfs-lock 'storage-ceph' error: got lock request timeout",
    "cfs-lock 'file-user_cfg' error: no quorum!",
    "error with cfs lock 'storage-ceph': got lock request timeout",
    "cluster not ready - no quorum?",
    "pve cluster filesystem not online.",
    "VM is locked (backup)",
    "VM 9200 qmp command 'query-status' failed - got timeout",
    # A cluster's file system that is away, starts anew, or takes no write.
    "pve configuration filesystem (pmxcfs) not mounted",
    "ipcc_send_rec[1] failed: Connection refused",
    "Unable to load access control list: Connection refused",
    "unable to open file '/etc/pve/nodes/pve1/qemu-server/9200.conf.tmp.77' - Permission denied",
    "unable to write '/etc/pve/nodes/pve1/qemu-server/9200.conf.tmp.77' - Input/output error",
    # A file server that is away: neither gone nor empty.
    "storage 'nfs' is not online",
    "unable to activate storage 'nfs' - directory '/mnt/pve/nfs' does not exist or is unreachable",
    "unable to activate storage 'd' - directory is expected to be a mount point but is not mounted: '/mnt/d'",
    "rbd error: rbd: couldn't connect to the cluster! (110) Connection timed out",
    "timeout: no zvol device link for 'vm-9200-disk-0' found after 10 sec.",
    # A node that has no room for a worker.
    "got no worker upid - start worker failed",
    "unable to fork worker - Cannot allocate memory at /usr/share/perl5/PVE/RESTEnvironment.pm line 542.",
    "unable to connect to VM 9200 qmp socket - timeout after 51 retries",
    "qemu-img: Could not open 'a.qcow2': Failed to get shared \"write\" lock",
)
LASTING = (
    "VM is locked (create)",
    "storage 'zfs' does not exist",
    "lvcreate 'pve/vm-9200-disk-0' error:   insufficient free space",
    "unable to parse volume ID 'x'",
    "storage 'local' is disabled",
    "storage 'local' is not available on node 'pve1'",
    "unable to open file '/var/lib/vz/images/9200/a.tmp' - Permission denied",
    "unable to use volume local:iso/a.iso - content type needs to be 'images'",
)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def patient(scene: Scene, **options: object) -> ProxmoxSeeder:
    client = ProxmoxClient(scene.site(**options), TOKEN, timeouts=replace(QUICK, request=30.0, outage=60.0))
    return ProxmoxSeeder(client, client.site)


def ended(scene: Scene, exitstatus: str) -> HyopsError:
    """Return what a worker's exit status becomes."""
    scene.stand_in.workers.refusals["qmtemplate"] = [exitstatus]
    scene.finish(scene.client().create_machine(9290))
    with pytest.raises(TaskFailed) as failure:
        wait_task(scene.client(), scene.client().create_template(9290))
    return failure.value


@pytest.mark.parametrize("words", BUSY)
def test_an_answer_that_says_not_now_is_transient(words: str) -> None:
    error = error_for("POST /nodes/pve1/qemu", 500, words, None, changing=True)

    assert isinstance(error, NodeBusy)
    assert isinstance(error, TransientError)


@pytest.mark.parametrize("words", LASTING)
def test_an_answer_that_says_no_is_not(words: str) -> None:
    assert not isinstance(error_for("POST /nodes/pve1/qemu", 500, words, None, changing=True), TransientError)


def test_a_lock_that_no_task_will_lift_is_reported_with_what_lifts_it() -> None:
    error = error_for("PUT", 500, "VM is locked (create)", None)

    assert isinstance(error, MachineLocked)
    assert "qm unlock" in error.hint


@pytest.mark.seconds
@pytest.mark.parametrize("words", BUSY)
def test_a_worker_that_ends_with_not_now_is_transient(scene: Scene, words: str) -> None:
    assert isinstance(ended(scene, words), TaskBusy)


def test_a_worker_that_ends_with_no_is_not(scene: Scene) -> None:
    assert not isinstance(ended(scene, "lvs failed: exit code 5"), TransientError)


def test_a_worker_whose_status_names_a_program_alone_is_judged_by_its_log(scene: Scene) -> None:
    scene.finish(scene.client().create_machine(9290))
    upid = scene.client().create_template(9290)
    scene.finish(upid)
    task = scene.stand_in.inventory.tasks[upid]
    task.exitstatus = "command 'lvs' failed: exit code 5"
    task.log = ["cfs-lock 'storage-ceph' error: got lock request timeout", f"TASK ERROR: {task.exitstatus}"]

    with pytest.raises(TaskBusy):
        wait_task(scene.client(), upid)


@pytest.mark.parametrize("kind", ["download", "qmcreate", "qmtemplate"])
def test_a_seed_waits_for_a_lock_that_its_worker_did_not_get(scene: Scene, kind: str) -> None:
    scene.stand_in.workers.refusals[kind] = [BUSY[0], BUSY[2]]

    seeded = patient(scene).seed(scene.request())

    assert (seeded.outcome, seeded.vmid, scene.templates()) == ("created", 9200, [9200])


@pytest.mark.parametrize("path", ["/storage/local/download-url", "/qemu", "/qemu/9200/template"])
def test_a_seed_waits_for_quorum_and_locks_that_its_calls_did_not_get(scene: Scene, path: str) -> None:
    busy = Answer(500, "", "cluster not ready - no quorum?")
    scene.stand_in.faults.add(Rule("POST", f"/nodes/pve1{path}", busy, nth=frozenset({1, 2})))

    assert patient(scene).seed(scene.request()).outcome == "created"


@pytest.mark.seconds
def test_a_lock_that_is_held_for_longer_than_the_sites_patience_is_transient(scene: Scene) -> None:
    scene.stand_in.workers.refusals["qmcreate"] = [BUSY[2]] * 1000

    with pytest.raises(TaskBusy) as failure:
        scene.seeder().seed(scene.request())
    assert "see which task holds it" in failure.value.hint
    assert scene.stand_in.inventory.machines == {}
    scene.stand_in.workers.refusals.clear()
    assert scene.seeder().seed(scene.request()).outcome == "created"


@pytest.mark.seconds
def test_a_destruction_waits_for_a_lock_too(scene: Scene) -> None:
    at = TemplateOptions(template_vm_id=9150, rebuild_if_exists=True)
    scene.seeder().seed(scene.other(), at)
    scene.stand_in.workers.refusals["qmdestroy"] = [BUSY[0]]

    assert patient(scene).seed(scene.request(), at).vmid == 9150


@pytest.mark.seconds
def test_a_file_server_that_is_away_hides_its_disks_and_loses_none(scene: Scene) -> None:
    """Its words have "does not exist" in them."""
    scene.seeder().seed(scene.request())
    away = "unable to activate storage 'local' - directory '/var/lib/vz' does not exist or is unreachable"
    scene.stand_in.faults.add(
        Rule("GET", "/nodes/pve1/storage/[^/]+/content(/.*)?", Answer(500, "", away), nth=frozenset())
    )

    with pytest.raises(NodeBusy, match="a storage that is not reached"):
        scene.seeder().seed(scene.request())
    assert scene.templates() == [9200]


def test_a_disk_that_a_shared_storage_shows_late_is_waited_for(scene: Scene) -> None:
    scene.stand_in.storages.late["ceph"] = 9

    assert patient(scene, storage="ceph").seed(scene.request()).outcome == "created"
    assert scene.stand_in.storages.late["ceph"] == 0


@pytest.mark.seconds
def test_a_disk_that_is_not_shown_at_all_is_transient_and_destroying_it_is_not_advised(scene: Scene) -> None:
    scene.stand_in.storages.late["ceph"] = 10**6

    with pytest.raises(DiskUnseen, match="does not show ceph:vm-9200-disk-0, the disk of VMID 9200") as failure:
        scene.seeder(storage="ceph").seed(scene.request())
    assert "destroy" not in failure.value.hint
    scene.stand_in.storages.late.clear()
    assert scene.seeder(storage="ceph").seed(scene.request()).outcome == "resumed"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("resource_unavailable", "error during placement"),
        ("placement_error", "error during placement"),
        ("invalid_input", "unsupported location for server type"),
        ("invalid_input", "server type cx22 is deprecated"),
        ("invalid_input", "Server Type cx22 is unavailable in location fsn1"),
        ("invalid_input", "server location disabled"),
        ("action_failed", 'Server type "cpx11" in "nbg1" can no longer be ordered'),
    ],
)
def test_an_offer_that_is_stale_is_distinguished_from_a_request_that_is_wrong(code: str, message: str) -> None:
    with pytest.raises(NotOffered), translated("creating a server"):
        raise APIException(code, message, {})


def test_a_request_that_is_wrong_is_not_taken_for_a_stale_offer() -> None:
    with pytest.raises(HetznerError), translated("creating a server"):
        raise APIException("invalid_input", "invalid input in field 'name'", {})


@pytest.mark.parametrize("code", ["conflict", "maintenance", "unavailable", "timeout", 503])
def test_what_passes_at_hetzner_is_transient(code: str | int) -> None:
    with pytest.raises(HetznerUnavailable), translated("creating a server"):
        raise APIException(code, "later", {})
