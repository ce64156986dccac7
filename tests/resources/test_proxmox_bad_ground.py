"""Bad ground: each is a typed error that names the next step, and nothing is deleted that is not ours."""

import datetime as dt
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.faults import Answer, Delay, Rule
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import (
    HostUnknown,
    ImageMismatch,
    NodeUnreachable,
    SeedFailed,
    SiteNotReady,
    TaskFailed,
    TaskLost,
    TemplateChanged,
    TokenRefused,
)
from resources.sites.proxmox.facts import linked_clones
from resources.sites.proxmox.lineage import import_file_name, template_name
from resources.sites.proxmox.no_answer import error_without_answer
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.tasks import wait_task
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene

ANOTHER = TemplateOptions(rebuild_if_exists=True)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def test_a_wrong_token_changes_nothing(scene: Scene) -> None:
    client = ProxmoxClient(scene.site(), "00000000-dead-beef-0000-000000000000")

    with pytest.raises(TokenRefused) as refusal:
        ProxmoxSeeder(client, client.site).seed(scene.request())
    assert "the variable that holds its secret" in refusal.value.hint
    assert scene.mutations() == 0


def test_a_token_that_only_reads_learns_all_that_it_lacks(scene: Scene) -> None:
    reads = {"VM.Audit", "Datastore.Audit", "Sys.Audit"}
    scene.stand_in.access.privileges["/"] = frozenset(reads)

    with pytest.raises(SiteNotReady) as refusal:
        scene.seeder().seed(scene.request())
    for lacking in ("VM.Allocate on /vms/9200", "Datastore.AllocateSpace on /storage/local-lvm", "Sys.AccessNetwork"):
        assert lacking in refusal.value.message
    assert "docs/proxmox.md" in refusal.value.hint
    assert scene.mutations() == 0


def test_the_import_storage_must_be_readable_too(scene: Scene) -> None:
    lacking = ALL_PRIVILEGES - {"Datastore.Audit", "Datastore.AllocateSpace"}
    scene.stand_in.access.privileges["/storage/local"] = lacking

    with pytest.raises(SiteNotReady, match=r"Datastore\.Audit or Datastore\.AllocateSpace on /storage/local"):
        scene.seeder().seed(scene.request())


@pytest.mark.parametrize(("version", "privilege"), [("8.4.1", "VM.Monitor"), ("9.1.11", "VM.GuestAgent.Audit")])
def test_the_agent_is_asked_by_the_privilege_of_the_release(scene: Scene, version: str, privilege: str) -> None:
    scene.stand_in.api.version = version
    scene.stand_in.access.privileges["/vms"] = ALL_PRIVILEGES - {privilege}

    with pytest.raises(SiteNotReady, match=rf"lacks {privilege} on /vms/9200\n"):
        scene.seeder(template_smoke_gate=True).seed(scene.request())


def test_before_8_4_the_way_without_the_api_is_named(scene: Scene) -> None:
    scene.stand_in.api.version = "8.3.5"

    with pytest.raises(SiteNotReady) as refusal:
        scene.seeder().seed(scene.request())
    assert "core/onprem/vyos-template-import (docs/proxmox.md" in refusal.value.hint


def test_a_storage_that_is_too_small_is_refused_up_front(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", capacity_bytes=32 << 20)

    with pytest.raises(SiteNotReady, match="has 33554432 bytes free, the disk needs 67108864"):
        scene.seeder().seed(scene.request())
    assert scene.mutations() == 0


def test_a_storage_that_fills_up_meanwhile_fails_the_import_and_leaves_nothing(scene: Scene) -> None:
    scene.stand_in.workers.exit_statuses["qmcreate"] = "lvcreate error: insufficient free space"
    with pytest.raises(TaskFailed) as failure:
        scene.seeder().seed(scene.request())
    assert "free some space" in failure.value.hint

    scene.stand_in.workers.exit_statuses.clear()
    scene.seeder().seed(scene.request())
    assert len(scene.templates()) == 1


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scsi0", "local-lvm:base-9200-disk-7,size=64M"),
        ("bios", "ovmf"),
        ("scsi1", "local-lvm:vm-9200-disk-1"),
        ("boot", "order=net0"),
    ],
)
def test_a_template_that_was_changed_by_hand_is_neither_adopted_nor_doubled(
    scene: Scene, key: str, value: str
) -> None:
    scene.seeder().seed(scene.request())
    scene.machine(9200).config[key] = value
    config, before = dict(scene.machine(9200).config), scene.mutations()

    with pytest.raises(TemplateChanged, match=f"its {key} was .* at the commit, and is {value[:9]}") as refusal:
        scene.seeder().seed(scene.request())
    assert "rebuild_if_exists" in refusal.value.hint
    assert scene.mutations() == before

    again = scene.seeder().seed(scene.request(), ANOTHER)
    assert (again.outcome, again.vmid) == ("created", 9201)
    assert scene.machine(9200).config == config
    assert any("9200" in warning and "left alone" in warning for warning in again.warnings)


def test_a_template_that_lost_its_disk_is_not_adopted(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request())
    scene.stand_in.volume_path(seeded.volid).unlink()

    with pytest.raises(TemplateChanged, match="is not on the storage"):
        scene.seeder().seed(scene.request())
    assert scene.seeder().seed(scene.request(), ANOTHER).vmid == 9201


def test_what_an_owner_may_change_does_not_matter(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    scene.machine(9200).config |= {"cores": 8, "memory": "4096", "net0": "virtio,bridge=vmbr7", "tags": "mine"}

    assert scene.seeder().seed(scene.request()).outcome == "adopted"


def test_a_template_whose_description_was_edited_away_is_reported(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    scene.machine(9200).config["description"] = "golden image, do not touch"

    with pytest.raises(TemplateChanged, match="no longer says what it holds"):
        scene.seeder().seed(scene.request())
    assert scene.seeder().seed(scene.request(), ANOTHER).vmid == 9201
    assert scene.machine(9200).config["description"] == "golden image, do not touch"


def test_a_template_of_another_owner_and_the_same_name_is_reported_and_left_alone(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": template_name(scene.record)})

    seeded = scene.seeder().seed(scene.request())

    assert seeded.vmid == 9201
    assert any("9200" in warning and "is not ours" in warning for warning in seeded.warnings)
    assert scene.machine(9200).config == {"name": seeded.name}


def test_reserved_tags_leave_a_template_without_them(scene: Scene) -> None:
    scene.stand_in.tag_rules.user_allow = "none"

    seeded = scene.seeder().seed(scene.request())

    assert "tags" not in scene.machine(seeded.vmid).config
    assert any("has no tags: Permission check failed (/, Sys.Modify" in warning for warning in seeded.warnings)
    assert scene.seeder().seed(scene.request()).outcome == "adopted"


def test_an_upload_does_not_overwrite_another_file(scene: Scene) -> None:
    there = scene.stand_in.volume_path(f"local:import/{import_file_name(scene.record)}")
    there.write_bytes(b"something else")

    with pytest.raises(SeedFailed, match="somebody put another file there"):
        scene.seeder().seed(scene.request(url=scene.qcow2.as_uri()))
    assert there.read_bytes() == b"something else"


def test_a_wrong_file_under_the_images_name_has_a_type_of_its_own(scene: Scene) -> None:
    scene.stand_in.volume_path(f"local:import/{import_file_name(scene.record)}").write_bytes(b"something else")

    with pytest.raises(ImageMismatch) as failure:
        scene.seeder().seed(scene.request())
    assert "pvesm free" in failure.value.hint


@pytest.mark.seconds
@pytest.mark.parametrize("status", [595, 596])
def test_a_node_that_comes_back_within_the_patience_fails_nothing(scene: Scene, status: int) -> None:
    silent = Answer(status, "", "Connection timed out")
    for path in ("/version", "/nodes", "/cluster/resources", "/nodes/pve1/tasks"):
        scene.stand_in.faults.add(Rule("GET", path, silent, nth=frozenset({1, 2, 3})))
    client = ProxmoxClient(scene.site(), TOKEN, timeouts=replace(QUICK, request=30.0, outage=60.0))

    assert ProxmoxSeeder(client, client.site).seed(scene.request()).outcome == "created"


def test_an_api_that_stays_silent_is_given_up_on_in_time(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Delay(0.5), nth=frozenset()))
    client = ProxmoxClient(scene.site(), TOKEN, timeouts=replace(QUICK, request=0.1, outage=0.3))

    with pytest.raises(NodeUnreachable, match="it takes too long"):
        ProxmoxSeeder(client, client.site).seed(scene.request())
    assert scene.mutations() == 0


def test_a_node_that_dies_under_a_worker_is_not_waited_for_until_the_workers_limit(scene: Scene) -> None:
    scene.stand_in.workers.delay_seconds = 5.0
    client = scene.client()
    upid = client.create_download("local", url=scene.url, file_name="x.qcow2", sha256="0" * 64)
    scene.stand_in.faults.add(Rule("GET", ".*/status", Answer(595, "", "No route to host"), nth=frozenset()))
    client.timeouts = replace(QUICK, silence=0.1)

    with pytest.raises(NodeUnreachable, match="was silent for"):
        wait_task(client, upid)


def test_a_worker_that_the_node_forgot_is_worth_another_attempt(scene: Scene) -> None:
    upid = "UPID:pve1:00000BAD:0000BAD0:65A0B0C0:qmcreate:9200:svc@pve!seed:"

    with pytest.raises(TaskLost, match="does not know task"):
        wait_task(scene.client(), upid)


def test_a_name_without_address_is_distinguished_from_a_silent_node(scene: Scene) -> None:
    client = ProxmoxClient(scene.site(host="pve.invalid"), TOKEN, timeouts=replace(QUICK, request=2.0, outage=0.1))

    with pytest.raises(HostUnknown, match=r"pve\.invalid") as failure:
        client.get_version()
    assert "DNS" in failure.value.hint


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("certificate is not yet valid", "clock"),
        ("certificate has expired", "clock"),
        ("Hostname mismatch, certificate is not valid for 'pve1'", "stands in the certificate"),
        ("self-signed certificate in certificate chain", "ca_file"),
    ],
)
def test_a_refused_certificate_says_whether_clock_name_or_authority_is_wrong(reason: str, hint: str) -> None:
    cause = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason}")

    error = error_without_answer("GET /version", "pve1:8006", requests.exceptions.SSLError(cause), changing=False)

    assert hint in error.hint


def test_a_linked_clone_is_known_by_its_volumes_name(scene: Scene) -> None:
    seeded = scene.seeder(storage="ceph").seed(scene.request())
    facts = scene.seeder().audit(seeded.vmid)
    assert linked_clones(scene.client(), facts) == []
    scene.finish(scene.client().create_clone(seeded.vmid, 9300, name="edge", full=0))

    assert linked_clones(scene.client(), facts) == ["ceph:base-9200-disk-0/vm-9300-disk-0"]


def test_a_clone_on_lvm_thin_is_a_snapshot_that_holds_nothing(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request())
    scene.finish(scene.client().create_clone(seeded.vmid, 9300, name="edge", full=0))

    assert linked_clones(scene.client(), scene.seeder().audit(seeded.vmid)) == []
    scene.finish(scene.client().delete_machine(seeded.vmid))
    assert sha256_of_file(scene.stand_in.volume_path("local-lvm:vm-9300-disk-0")) == scene.record.disk.sha256


def test_a_storage_without_base_volumes_is_cloned_in_full(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", plugin="lvm")

    seeded = scene.seeder().seed(scene.request())

    assert seeded.volid == "local-lvm:vm-9200-disk-0"
    assert scene.seeder().seed(scene.request()).outcome == "adopted"


def test_the_time_of_a_commit_is_of_this_host_and_has_a_zone(scene: Scene) -> None:
    seeded_at = scene.seeder().seed(scene.request()).lineage.seeded_at

    assert seeded_at is not None
    assert seeded_at.utcoffset() == dt.timedelta(0)
