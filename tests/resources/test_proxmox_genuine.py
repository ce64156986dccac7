"""What genuine Proxmox VE daemons showed our client to take wrongly (X1 to X11 of docs/proxmox.md), each put right."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.errors import TransientError
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.superseding import Current
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.faults import Answer, Page, Rule
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.client import Method, ProxmoxClient
from resources.sites.proxmox.errors import (
    AnswerLost,
    ConfigChanged,
    LeftoverVolume,
    NodeUnreachable,
    NotTheApi,
    PrivilegeMissing,
    ProxmoxError,
    SeedBusy,
    SeedFailed,
    SiteNotReady,
    TemplateChanged,
    TokenRefused,
    VmidTaken,
)
from resources.sites.proxmox.lineage import description_of
from resources.sites.proxmox.report import SeededTemplate
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.superseded import Templates
from resources.sites.proxmox.sweep import Sweep
from tests.hetzner_lab import ENVIRONMENT
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene

ALWAYS = frozenset[int]()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


# --- X1: bodies of any kind -----------------------------------------------------------------------------------------


def test_a_refused_token_is_reported_though_its_answer_has_no_body(scene: Scene) -> None:
    client = ProxmoxClient(scene.site(), "00000000-dead-beef-0000-000000000000")

    with pytest.raises(TokenRefused, match="401 Authentication failed!") as refusal:
        ProxmoxSeeder(client, client.site).seed(scene.request())
    assert "its user is enabled" in " ".join(refusal.value.hint.split())


def test_a_daemon_that_restarts_in_the_middle_of_a_seed_is_waited_for(scene: Scene) -> None:
    """These calls were not taken: reading and changing ones alike are made again."""
    gone = Answer(595, "", "Connection refused")
    for method, path in (
        ("GET", "/version"),
        ("POST", "/nodes/pve1/storage/local/download-url"),
        ("POST", "/nodes/pve1/qemu"),
        ("PUT", "/nodes/pve1/qemu/9200/config"),
        ("POST", "/nodes/pve1/qemu/9200/template"),
    ):
        scene.stand_in.faults.add(Rule(method, path, gone, nth=frozenset({1, 2})))
    client = ProxmoxClient(scene.site(), TOKEN, timeouts=replace(QUICK, request=30.0, outage=60.0))

    assert ProxmoxSeeder(client, client.site).seed(scene.request()).outcome == "created"
    assert scene.templates() == [9200]


@pytest.mark.parametrize("status", [502, 503, 504, 500])
def test_a_proxys_page_of_trouble_is_waited_for_and_then_transient(scene: Scene, status: int) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Page(status), nth=ALWAYS))

    with pytest.raises(NodeUnreachable, match=str(status)):
        scene.client().get_version()


@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_a_page_instead_of_an_answer_is_reported_as_what_it_is(scene: Scene, status: int) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Page(status), nth=ALWAYS))

    with pytest.raises(NotTheApi, match=r"answers with text/html.*, not as Proxmox' API") as refusal:
        scene.client().get_version()
    assert "/api2/json" in refusal.value.hint


def test_a_page_of_text_in_a_message_is_cut(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Answer(500, "", "long " * 2000)))

    with pytest.raises(ProxmoxError) as failure:
        scene.client().get_version()
    assert len(str(failure.value)) < 3000


def test_json_of_another_program_is_reported_as_what_it_is(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/nodes", Page(200, '{"data": {"nodes": 3}}'), nth=ALWAYS))
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu/9200/template", Page(200, '{"data": null}')))

    with pytest.raises(NotTheApi, match="another program's JSON"):
        scene.client().list_nodes()
    with pytest.raises(NotTheApi, match="no task's id"):
        scene.client().create_template(9200)


def test_a_change_whose_connection_broke_is_looked_up_and_not_made_again(scene: Scene) -> None:
    scene.stand_in.faults.add(
        Rule("POST", "/nodes/pve1/qemu/9200/template", Answer(596, "", "Broken pipe"), nth=ALWAYS)
    )

    with pytest.raises(AnswerLost):
        scene.client().create_template(9200)
    assert scene.trace.mutations()["proxmox"] == 1


# --- X2: the order of an upload's fields -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "streamed"])
def test_an_upload_passes_the_parser_and_wrong_bytes_do_not(scene: Scene, size: str, tmp_path: Path) -> None:
    image, client = tmp_path / "vyos.raw", scene.client()
    image.write_bytes(bytes(1 << 20) if size == "small" else bytes(range(256)) * (44 << 10))

    scene.finish(client.create_upload("local", path=image, file_name="vyos.raw", sha256=sha256_of_file(image)))
    assert sha256_of_file(scene.stand_in.volume_path("local:import/vyos.raw")) == sha256_of_file(image)
    with pytest.raises(Exception, match="checksum mismatch"):
        scene.finish(client.create_upload("local", path=image, file_name="other.raw", sha256="0" * 64))


def test_a_private_image_is_uploaded_by_a_whole_seed(scene: Scene) -> None:
    assert scene.seeder().seed(scene.request(url=scene.qcow2.as_uri())).bytes_transferred > 0


# --- X3, X4: tags ----------------------------------------------------------------------------------------------------


def test_rights_on_a_pool_are_enough_for_a_whole_seed_tags_included(scene: Scene) -> None:
    access, owner = scene.stand_in.access, {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
    access.pools["vyos"] = set()
    access.privileges = {"/": ALL_PRIVILEGES - owner, "/pool/vyos": frozenset(owner)}

    seeded = scene.seeder(pool="vyos").seed(scene.request())

    assert set(str(scene.machine(seeded.vmid).config["tags"]).split(";")) >= {"vyos"}
    assert seeded.warnings == ()
    assert scene.seeder(pool="vyos").seed(scene.request()).outcome == "adopted"


@pytest.mark.seconds
def test_a_template_in_a_pool_is_replaced_and_seen_to_be_gone(scene: Scene) -> None:
    access, owner = scene.stand_in.access, {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
    access.pools["vyos"] = set()
    access.privileges = {"/": ALL_PRIVILEGES - owner, "/pool/vyos": frozenset(owner)}
    at = TemplateOptions(template_vm_id=9150, rebuild_if_exists=True)
    scene.seeder(pool="vyos").seed(scene.other(), at)

    seeded = scene.seeder(pool="vyos").seed(scene.request(), at)

    assert (seeded.vmid, seeded.replaced, scene.templates()) == (9150, "2026.03.04-0027-rolling", [9150])


@pytest.mark.parametrize("rule", ["none", "existing", "list", "registered"])
def test_reserved_tags_are_left_out_and_the_report_says_so(scene: Scene, rule: Any) -> None:
    if rule == "registered":
        scene.stand_in.tag_rules.registered = {"vyos"}
    else:
        scene.stand_in.tag_rules.user_allow = rule

    seeded = scene.seeder().seed(scene.request())

    assert seeded.outcome == "created"
    assert "tags" not in scene.machine(seeded.vmid).config
    assert any(f"VMID {seeded.vmid} has no tags" in warning for warning in seeded.warnings)
    before = scene.mutations()
    assert scene.seeder().seed(scene.request()).outcome == "adopted"
    assert scene.mutations() == before


# --- X5: a filtered list is not absence ------------------------------------------------------------------------------


def readers(scene: Scene) -> None:
    """Leave the token no more than docs/proxmox.md asks for reading."""
    scene.stand_in.access.privileges = {"/": frozenset({"VM.Audit", "Datastore.Audit"})}


def test_a_token_that_may_only_read_adopts_and_audits_by_what_the_configuration_says(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    readers(scene)

    facts = scene.seeder().audit(9200)
    assert (facts.disk, facts.disk_size_bytes, facts.problems(scene.record)) == (
        "hidden",
        scene.record.disk.size_bytes,
        [],
    )
    assert scene.seeder().find(scene.record) == facts
    adopted = scene.seeder().seed(scene.request())
    assert adopted.outcome == "adopted"
    assert "the token may not see the volume" in adopted.verified["disk"]


def test_a_seed_whose_token_could_not_see_its_disk_is_refused_before_anything_is_made(scene: Scene) -> None:
    scene.stand_in.access.privileges["/storage/local-lvm"] = frozenset({"Datastore.AllocateSpace"})

    with pytest.raises(SiteNotReady, match=r"lacks Datastore\.Audit on /storage/local-lvm\n"):
        scene.seeder().seed(scene.request())
    assert scene.mutations() == 0


def test_a_template_of_another_size_is_still_reported_by_who_may_only_read(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    scene.machine(9200).config["scsi0"] = "local-lvm:base-9200-disk-0,size=1G"
    readers(scene)

    assert any("its disk has 1073741824 bytes" in text for text in scene.seeder().audit(9200).problems(scene.record))


def test_destroying_a_template_whose_disk_was_not_seen_is_not_advised(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request())
    scene.stand_in.volume_path(seeded.volid).unlink()

    with pytest.raises(TemplateChanged, match="is not on the storage") as refusal:
        scene.seeder().seed(scene.request())
    assert "destroy" not in refusal.value.hint
    assert "pvesm path" in refusal.value.hint


def test_a_storage_that_is_switched_off_hides_its_disks_and_loses_none(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    scene.stand_in.storages.configure("local-lvm", enabled=False)

    assert scene.seeder().audit(9200).disk == "hidden"
    assert scene.seeder().seed(scene.request()).outcome == "adopted"


# --- X6: leftovers ---------------------------------------------------------------------------------------------------


def stuck(scene: Scene, vmid: int) -> None:
    """Leave what a node that lost its power in the middle of a creation leaves: a lock, and volumes."""
    scene.stand_in.inventory.machines[vmid] = Machine(vmid, {"lock": "create"})
    for what in ("disk-0", "cloudinit"):
        scene.stand_in.volume_path(f"local-lvm:vm-{vmid}-{what}").write_bytes(bytes(4 << 20))


def test_what_is_advised_about_a_stuck_machine_leaves_nothing_behind(scene: Scene) -> None:
    stuck(scene, 9200)

    seeded = scene.seeder().seed(scene.request())

    wanted = "qm unlock 9200 && qm destroy 9200 --purge --destroy-unreferenced-disks 1"
    assert any(wanted in warning for warning in seeded.warnings)
    # root's own `qm unlock`, then what the hint says.
    del scene.machine(9200).config["lock"]
    scene.finish(scene.client().delete_machine(9200))
    assert [volid for volid in scene.disks() if "-9200-" in volid] == []


def test_a_volume_that_is_left_in_the_way_moves_the_creation_to_the_next_vmid(scene: Scene) -> None:
    stuck(scene, 9200)
    del scene.stand_in.inventory.machines[9200]

    seeded = scene.seeder().seed(scene.request())

    assert seeded.vmid == 9201
    assert any("VMID 9200 is passed over" in warning and "vm-9200-cloudinit" in warning for warning in seeded.warnings)


def test_a_volume_in_the_way_of_a_named_vmid_is_reported_with_what_frees_it(scene: Scene) -> None:
    stuck(scene, 9150)
    del scene.stand_in.inventory.machines[9150]

    with pytest.raises(LeftoverVolume, match="vm-9150-cloudinit") as failure:
        scene.seeder().seed(scene.request(), TemplateOptions(template_vm_id=9150))
    assert "pvesm free" in failure.value.hint


def test_volumes_that_belong_to_no_machine_are_found_and_named(scene: Scene) -> None:
    stuck(scene, 9205)
    del scene.stand_in.inventory.machines[9205]
    scene.seeder().seed(scene.request())
    sweep = Sweep(
        scene.client(),
        "lab",
        environment=ENVIRONMENT,
        is_live=lambda run_id: False,
        at_work=lambda: None,
        clock=lambda: 0.0,
    )

    found = {finding.what: (finding.verdict, finding.why) for finding in sweep.reap()}

    assert found.keys() == {"volume local-lvm:vm-9205-cloudinit", "volume local-lvm:vm-9205-disk-0"}
    verdict, why = found["volume local-lvm:vm-9205-disk-0"]
    assert (verdict, "pvesm free local-lvm:vm-9205-disk-0" in why) == ("by hand", True)


# --- X7, X9: pvestatd is late, or hangs ------------------------------------------------------------------------------


def test_a_template_that_the_cluster_has_not_heard_of_yet_is_adopted(scene: Scene) -> None:
    scene.stand_in.statistics.interval_seconds = 3600.0
    scene.stand_in.statistics.broadcast()
    scene.seeder().seed(scene.request(), TemplateOptions(template_vm_id=9150))
    del scene.machine(9150).config["tags"]

    assert scene.seeder().seed(scene.request()).vmid == 9150


def test_a_seed_its_adoption_and_its_cleanup_work_while_pvestatd_hangs(scene: Scene) -> None:
    scene.stand_in.statistics.hanging = True
    seeded: SeededTemplate = scene.seeder().seed(scene.request())

    assert seeded.outcome == "created"
    assert scene.seeder().seed(scene.request()).outcome == "adopted"
    entry = Current("the state", scene.record.key, scene.record.version, str(seeded.vmid))
    templates = Templates(scene.client())
    assert templates.problem(entry, templates.list()) is None
    assert scene.seeder().find(scene.record) is not None


# --- X10, X11: races -------------------------------------------------------------------------------------------------


class Meddled(ProxmoxClient):
    """A client beside which another client writes, right before its nth configuration."""

    meddle: Any = None

    def _call(self, method: Method, path: tuple[str | int, ...], parameters: dict[str, Any]) -> Any:
        if method == "put" and "digest" in parameters and self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            meddle()
        return super()._call(method, path, parameters)


def meddled(scene: Scene, what: dict[str, str | int]) -> ProxmoxSeeder:
    client = Meddled(scene.site(), TOKEN, timeouts=QUICK)
    client.meddle = lambda: scene.machine(9200).config.update(what)
    return ProxmoxSeeder(client, client.site)


def test_a_digest_race_has_a_type_of_its_own(scene: Scene) -> None:
    scene.seeder().seed(scene.request())

    with pytest.raises(ConfigChanged, match="checksum mismatch"):
        scene.client().ensure_config(9200, name="other", digest="0" * 40)


def test_what_an_owner_writes_in_between_is_read_and_the_commit_is_made_all_the_same(scene: Scene) -> None:
    assert meddled(scene, {"cores": 8}).seed(scene.request()).outcome == "created"
    assert scene.machine(9200).config["cores"] == 8
    assert scene.seeder().find(scene.record) is not None


def test_hardware_that_is_changed_in_between_is_not_committed(scene: Scene) -> None:
    with pytest.raises(SeedFailed, match="hardware of VMID 9200 was changed while it was seeded"):
        meddled(scene, {"bios": "ovmf"}).seed(scene.request())


def test_another_run_that_writes_in_between_is_waited_for(scene: Scene) -> None:
    begun = scene.seeder()
    scene.stand_in.faults.add(
        Rule("POST", "/nodes/pve1/qemu/9200/template", Answer(500, "", "no"), nth=frozenset({1}))
    )
    with pytest.raises(Exception, match="500 no"):
        begun.seed(scene.request())
    lineage = begun.audit(9200).lineage
    assert lineage is not None
    theirs = description_of(lineage.model_copy(update={"run_id": "run-9"}))

    with pytest.raises(SeedBusy, match="run run-9 wrote to VMID 9200") as busy:
        meddled(scene, {"description": theirs}).seed(scene.request(run_id="run-2"))
    assert isinstance(busy.value, TransientError)


@pytest.mark.parametrize("where", ["call", "worker"])
def test_the_loser_of_two_runs_at_once_learns_who_won(scene: Scene, where: str) -> None:
    seeder = scene.seeder()
    real = seeder.client.create_template

    def after_the_other(vmid: int, *, disk: str | None = None) -> str:
        if where == "worker":
            scene.stand_in.workers.exit_statuses["qmtemplate"] = "you can't convert a template to a template"
            lineage = seeder.audit(vmid).lineage
            assert lineage is not None
            theirs = lineage.model_copy(update={"run_id": "run-9"})
            scene.machine(vmid).config["description"] = description_of(theirs)
            return real(vmid, disk=disk)
        lineage = seeder.audit(vmid).lineage
        assert lineage is not None
        scene.finish(real(vmid, disk=disk))
        scene.machine(vmid).config["description"] = description_of(lineage.model_copy(update={"run_id": "run-9"}))
        return real(vmid, disk=disk)

    seeder.client.create_template = after_the_other  # type: ignore[method-assign]
    client = seeder.client
    client.at = lambda site: client  # type: ignore[method-assign]

    with pytest.raises(SeedBusy, match="run run-9 of this seed carries VMID 9200 on"):
        seeder.seed(scene.request())


# --- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["realm", "expired"])
def test_a_token_of_another_realm_and_an_expired_one_change_nothing(scene: Scene, wrong: str) -> None:
    scene.stand_in.access.usable = wrong != "expired"
    token_id = "svc@pam!seed" if wrong == "realm" else "svc@pve!seed"

    with pytest.raises(TokenRefused) as refusal:
        scene.seeder(token_id=token_id).seed(scene.request())
    assert "realm" in refusal.value.hint
    assert "expires" in refusal.value.hint
    assert scene.mutations() == 0


@pytest.mark.seconds
def test_a_node_that_dies_between_creation_and_conversion_is_transient_and_the_next_seed_resumes(scene: Scene) -> None:
    dead = Answer(595, "", "No route to host")
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu/9200/template", dead, nth=ALWAYS))

    with pytest.raises(NodeUnreachable, match="No route to host"):
        scene.seeder().seed(scene.request())
    scene.stand_in.faults.rules.clear()
    assert scene.seeder().seed(scene.request()).outcome == "resumed"
    assert scene.templates() == [9200]


def test_a_storage_that_is_disabled_is_reported_before_anything_is_made(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", enabled=False)

    with pytest.raises(SiteNotReady, match="storage 'local-lvm' is not active on node pve1"):
        scene.seeder().seed(scene.request())
    assert scene.mutations() == 0


def test_a_disk_storage_for_another_content_is_reported_before_anything_is_made(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", {"rootdir"})

    with pytest.raises(SiteNotReady, match="'local-lvm' is not configured for content 'images'"):
        scene.seeder().seed(scene.request())
    assert scene.mutations() == 0


def test_a_named_vmid_that_is_taken_in_between_is_refused_and_left_alone(scene: Scene) -> None:
    taken = Answer(500, "", "unable to create VM 9150 - VM 9150 already exists on node 'pve1'")
    scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu", taken))

    with pytest.raises(VmidTaken, match="was taken by another machine meanwhile"):
        scene.seeder().seed(scene.request(), TemplateOptions(template_vm_id=9150))


def test_a_pool_that_does_not_exist_is_reported_with_the_command_that_makes_it(scene: Scene) -> None:
    with pytest.raises(PrivilegeMissing, match="pool 'vyos' does not exist") as refusal:
        scene.seeder(pool="vyos").seed(scene.request())
    assert "pveum pool add" in refusal.value.hint


def test_a_secret_is_in_no_log_of_an_answer_that_is_none(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.stand_in.faults.add(Rule("GET", "/version", Page(200), nth=ALWAYS))

    with pytest.raises(NotTheApi):
        scene.client().get_version()
    assert TOKEN not in caplog.text
