"""The seeder against the lab's node, through the real proxmoxer over TLS. No clone is booted here (smoke gate off)."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError, Refused
from hyops_assets.contract.urls import BadUrl
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.faults import Answer, DropAfterCommit, Rule
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.errors import AnswerLost, NodeUnreachable, SiteNotReady, TaskFailed, TaskInterrupted
from resources.sites.proxmox.lineage import description_of
from tests.proxmox_scene import Scene, make_record, proxmox_scene
from tests.specs import require_specification
from tests.specs_proxmox import PROXMOX


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


def test_every_request_and_answer_of_a_seed_is_in_the_api_schema(scene: Scene) -> None:
    require_specification(PROXMOX)
    scene.seeder().seed(scene.request())

    assert scene.specs.violations == []
    assert scene.specs.outside == set()
    assert ("POST", "/nodes/{node}/qemu") in scene.specs.seen


def test_a_report_says_which_digest_was_verified_where_and_that_nothing_was_booted(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request())

    assert seeded.smoke == "off"
    assert scene.record.variants["qcow2"].sha256 in seeded.verified["image"]
    assert "not read back" in seeded.verified["disk"]
    assert "nothing booted" in seeded.verified["smoke"]


def test_another_record_gets_another_vmid_and_the_first_template_stays(scene: Scene) -> None:
    first = scene.seeder().seed(scene.request())
    other = make_record(scene.qcow2.parent, version="2026.03.04-0027-rolling", seed=b"next")
    url = scene.url.replace(scene.qcow2.name, other.variants["qcow2"].file_name)

    second = scene.seeder().seed(scene.request(other, url=url))

    assert second.vmid != first.vmid
    assert scene.seeder().find(scene.record) is not None
    assert sorted(scene.templates()) == [first.vmid, second.vmid]


def test_a_private_file_is_uploaded_and_checked_by_the_node(scene: Scene) -> None:
    reports: list[tuple[str, int, int | None]] = []

    seeded = scene.seeder().seed(
        scene.request(url=scene.qcow2.as_uri()), progress=lambda *report: reports.append(report)
    )

    assert seeded.upids[0].split(":")[5] == "imgcopy"
    assert seeded.bytes_transferred == scene.qcow2.stat().st_size
    assert sha256_of_file(scene.stand_in.volume_path(seeded.volid)) == scene.record.disk.sha256
    assert ("upload", scene.qcow2.stat().st_size, scene.qcow2.stat().st_size) in reports


def test_a_disk_that_the_storage_rounds_up_to_its_extents_is_accepted(scene: Scene) -> None:
    odd = make_record(scene.qcow2.parent, version="2026.03.05-0027-rolling", disk_bytes=65 << 20)
    url = scene.url.replace(scene.qcow2.name, odd.variants["qcow2"].file_name)

    assert scene.seeder().seed(scene.request(odd, url=url)).disk_size_bytes == 68 << 20


def test_an_image_that_the_node_already_has_is_not_sent_again(scene: Scene) -> None:
    first = scene.seeder().seed(scene.request())
    scene.finish(scene.client().delete_machine(first.vmid))

    again = scene.seeder().seed(scene.request())

    assert (again.outcome, again.bytes_transferred) == ("created", 0)


def test_a_vmid_that_is_taken_between_choosing_and_creating_is_passed_over(scene: Scene) -> None:
    taken = Answer(500, "", "unable to create VM 9200 - VM 9200 already exists on node 'pve1'")
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu", taken))

    assert scene.seeder().seed(scene.request()).vmid == 9201


def test_a_vmid_of_another_machine_is_passed_over(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": "unrelated"})

    assert scene.seeder().seed(scene.request()).vmid == 9201
    assert scene.stand_in.inventory.machines[9200].config == {"name": "unrelated"}


def test_a_range_without_a_free_vmid_is_refused_by_name(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": "unrelated"})

    with pytest.raises(SiteNotReady, match="no VMID in 9200-9200 is free"):
        scene.seeder(vmid_range=(9200, 9200)).seed(scene.request())


def test_a_lost_answer_to_the_creation_makes_no_second_machine(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu", DropAfterCommit()))

    seeded = scene.seeder().seed(scene.request())

    assert seeded.outcome == "created"
    assert list(scene.stand_in.inventory.machines) == [9200]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/nodes/pve1/qemu/9200/template"), ("PUT", "/nodes/pve1/qemu/9200/config")]
)
def test_a_lost_answer_to_conversion_or_commit_is_looked_up(scene: Scene, method: str, path: str) -> None:
    scene.stand_in.faults.add(Rule(method, path, DropAfterCommit()))

    assert scene.seeder().seed(scene.request()).lineage.state == "ready"
    assert scene.templates() == [9200]


def test_a_lost_answer_to_the_download_is_asked_for_again_because_the_node_downloads_once(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/storage/local/download-url", DropAfterCommit()))

    assert scene.seeder().seed(scene.request()).outcome == "created"
    assert len(scene.stand_in.storages.volumes("local")) == 1


def test_a_node_that_never_answers_the_download_is_a_transient_error(scene: Scene) -> None:
    drop = Rule("POST", "/nodes/pve1/storage/local/download-url", DropAfterCommit(), nth=frozenset())
    scene.stand_in.faults.add(drop)

    with pytest.raises(AnswerLost):
        scene.seeder().seed(scene.request())


def test_a_wrong_file_on_the_import_storage_fails_the_seed_and_is_left_alone(scene: Scene) -> None:
    name = f"vyos-1.5-{scene.record.version}-{scene.record.variants['qcow2'].sha256[:12]}.qcow2"
    there = scene.stand_in.volume_path(f"local:import/{name}")
    there.write_bytes(b"something else")

    with pytest.raises(TaskFailed, match=r"checksum mismatch.*aborting") as failed:
        scene.seeder().seed(scene.request())

    assert "another file lies on the import storage" in failed.value.hint
    assert there.read_bytes() == b"something else"
    assert scene.templates() == []


def test_a_source_whose_bytes_are_not_the_records_is_never_imported(scene: Scene) -> None:
    with scene.qcow2.open("r+b") as image:
        image.seek(-1, 2)
        image.write(b"\x5a")

    with pytest.raises(TaskFailed, match="checksum mismatch"):
        scene.seeder().seed(scene.request())

    assert scene.stand_in.storages.volumes("local") == []


def test_a_template_whose_conversion_was_killed_half_way_is_completed(scene: Scene) -> None:
    seeder = scene.seeder()
    seeder.seed(scene.request())
    _half_convert(scene, 9200)

    seeded = seeder.seed(scene.request())

    assert (seeded.outcome, seeded.vmid) == ("resumed", 9200)
    assert seeded.volid == "local-lvm:base-9200-disk-0"
    assert seeded.bytes_transferred == 0


def test_a_worker_with_warnings_is_done_and_its_warning_is_reported(scene: Scene) -> None:
    scene.stand_in.workers.exit_statuses["qmtemplate"] = "WARNINGS: 1"

    seeded = scene.seeder().seed(scene.request())

    assert any("template: WARNINGS: 1" in warning for warning in seeded.warnings)


def test_a_worker_that_was_killed_is_worth_another_attempt(scene: Scene) -> None:
    scene.stand_in.workers.exit_statuses["qmcreate"] = "unexpected status"

    with pytest.raises(TaskInterrupted):
        scene.seeder().seed(scene.request())
    scene.stand_in.workers.exit_statuses.clear()
    assert scene.seeder().seed(scene.request()).outcome == "resumed"


def test_a_machine_that_a_run_takes_over_says_that_runs_name_and_time(scene: Scene) -> None:
    busy = Answer(500, "", "the node is busy")
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu/9200/template", busy, nth=frozenset()))
    with pytest.raises(HyopsError, match="busy"):
        scene.seeder().seed(replace(scene.request(), run_id="run-1"))
    begun = scene.seeder().audit(9200).lineage
    assert begun is not None
    scene.machine(9200).config["description"] = description_of(begun.model_copy(update={"expires": 1}))

    with pytest.raises(HyopsError, match="busy"):
        scene.seeder().seed(replace(scene.request(), run_id="run-2"))

    taken_over = scene.seeder().audit(9200).lineage
    assert taken_over is not None
    assert (begun.run_id, taken_over.run_id, taken_over.state) == ("run-1", "run-2", "building")
    assert taken_over.expires is not None
    assert taken_over.expires > time.time()


def test_a_machine_stuck_under_creation_is_left_and_the_way_to_free_it_is_reported(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"lock": "create"})

    seeded = scene.seeder().seed(scene.request())

    assert seeded.vmid == 9201
    assert any("qm unlock 9200 && qm destroy 9200" in warning for warning in seeded.warnings)
    assert scene.stand_in.inventory.machines[9200].config == {"lock": "create"}


def test_a_clone_that_carries_the_templates_lineage_is_neither_adopted_nor_touched(scene: Scene) -> None:
    seeder = scene.seeder()
    first = seeder.seed(scene.request())
    client = scene.client()
    scene.finish(client.create_clone(first.vmid, 9250, name="edge", full=1))
    before = dict(scene.stand_in.inventory.machines[9250].config)

    assert seeder.seed(scene.request()).vmid == first.vmid
    assert scene.stand_in.inventory.machines[9250].config == before
    assert "it is a clone" in " ".join(seeder.audit(9250).problems(scene.record))


def test_an_unfinished_machine_of_another_seed_is_not_touched(scene: Scene) -> None:
    seeder = scene.seeder()
    lineage = seeder.seed(scene.request()).lineage.model_copy(
        update={"vmid": 9210, "state": "building", "seed_id": "f" * 16, "seeded_at": None}
    )
    scene.stand_in.inventory.machines[9210] = Machine(9210, {"description": description_of(lineage)})

    assert seeder.seed(scene.request()).outcome == "adopted"
    assert 9210 in scene.stand_in.inventory.machines


def test_a_second_unfinished_machine_of_the_same_seed_is_removed(scene: Scene) -> None:
    seeder = scene.seeder()
    lineage = seeder.seed(scene.request()).lineage
    spare = lineage.model_copy(update={"vmid": 9210, "state": "building", "seeded_at": None})
    scene.stand_in.inventory.machines[9210] = Machine(9210, {"description": description_of(spare)})

    assert seeder.seed(scene.request()).outcome == "resumed"
    assert list(scene.stand_in.inventory.machines) == [9200]


def test_a_labs_record_is_refused_at_a_site_that_is_no_lab(scene: Scene) -> None:
    with pytest.raises(Refused, match="made in a lab"):
        scene.seeder(lab=False).seed(scene.request())
    assert scene.mutations() == 0


def test_a_url_that_may_not_stand_in_a_contract_is_not_given_to_the_node(scene: Scene) -> None:
    with pytest.raises(BadUrl, match="query"):
        scene.seeder().seed(scene.request(url=scene.url + "?x=1"))
    assert scene.trace.requests() == []


def test_a_busy_node_is_asked_again_when_only_reading(scene: Scene) -> None:
    silent = Answer(595, "", "Connection timed out")
    scene.stand_in.faults.add(Rule("GET", "/cluster/resources", silent))
    scene.stand_in.faults.add(Rule("GET", "/nodes/pve1/tasks/.*/status", silent, nth=frozenset({2, 3})))

    assert scene.seeder().seed(scene.request()).outcome == "created"


def test_a_task_that_is_not_listed_yet_is_waited_for(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/nodes/pve1/tasks/.*/status", Answer(400, "", "no such task")))

    assert scene.seeder().seed(scene.request()).outcome == "created"


def test_a_node_that_stays_silent_is_a_transient_error(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Answer(595, "", "No route to host"), nth=frozenset()))

    with pytest.raises(NodeUnreachable, match="No route to host"):
        scene.seeder().seed(scene.request())


def _half_convert(scene: Scene, vmid: int) -> None:
    """Put a template where a kill between flag and rename leaves it, before its commit."""
    machine = scene.stand_in.inventory.machines[vmid]
    storages = scene.stand_in.storages
    base = f"local-lvm:base-{vmid}-disk-0"
    storages.path(base).rename(storages.path(base.replace("base-", "vm-")))
    machine.config["scsi0"] = str(machine.config["scsi0"]).replace(":base-", ":vm-")
    lineage = scene.seeder().audit(vmid).lineage
    assert lineage is not None
    building = lineage.model_copy(update={"state": "building", "seeded_at": None, "smoke": None})
    machine.config["description"] = description_of(building)
