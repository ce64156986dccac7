"""Superseded templates: each reason to leave one alone, and what is removed; killed anywhere, nothing else is gone."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.references import ONPREM_EDGE, TEMPLATE_SEED, StateRef
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.state import ModuleState, Outputs, Status
from hyops_assets.contract.superseding import Policy, States
from hyops_assets.contract.upkeep import Finding
from hyops_lab.faults import Answer, Rule
from resources.sites import cleanup
from resources.sites.cleanup import CleanupContext, Removal, SiteObject
from resources.sites.proxmox import removal, superseded
from resources.sites.proxmox.answers import Volume
from resources.sites.proxmox.facts import TemplateFacts, linked_volumes
from resources.sites.proxmox.lineage import description_of
from resources.sites.proxmox.superseded import superseded_templates
from tests.hetzner_lab import ENVIRONMENT
from tests.killing import killed_at_each_line, kills
from tests.proxmox_scene import Scene, make_record, proxmox_scene

KEY = "vyos-1.5"
OLD, CURRENT, NEXT = (f"2026.03.0{day}-0027-rolling" for day in (1, 2, 3))
OLD_VMID, CURRENT_VMID = 9200, 9201


def seed(scene: Scene, version: str) -> int:
    record = make_record(scene.directory / "objects", version=version, seed=version.encode())
    url = f"https://127.0.0.1:{scene.objects.port}/{record.variants['qcow2'].file_name}"
    return scene.seeder().seed(scene.request(record, url=url)).vmid


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A site with two templates of one key: the older one under 9200, the current one under 9201."""
    with proxmox_scene(tmp_path) as scene:
        assert [seed(scene, version) for version in (OLD, CURRENT)] == [OLD_VMID, CURRENT_VMID]
        yield scene


def naming(vmid: int = CURRENT_VMID, version: str = CURRENT, status: Status = "ok") -> tuple[StateRef, ModuleState]:
    outputs: Outputs = {"template_vm_id": vmid, "template_key": KEY, "template_image_version": version}
    return state(TEMPLATE_SEED, outputs, status=status)


def state(
    module: str, outputs: Outputs, *, instance: str | None = None, status: Status = "ok"
) -> tuple[StateRef, ModuleState]:
    moment = datetime.now(UTC)
    made = ModuleState(module_ref=module, run_id="run", status=status, updated_at=moment, outputs=outputs)
    return StateRef(module, instance), made


def pruned(
    scene: Scene,
    states: States | Callable[[], States],
    *,
    at_work: Callable[[], str | None] = lambda: None,
    forget: Callable[[str], None] = lambda version: None,
) -> Removal[SiteObject[TemplateFacts]]:
    ground = CleanupContext(
        where="lab",
        instance=None,
        states=states if callable(states) else lambda: states,
        at_work=at_work,
        policy=Policy(keep=0, keep_days=0),
        clock=time.time,
        forget=forget,
        environment=ENVIRONMENT,
        proves=lambda claim, ref: False,
    )
    return superseded_templates(scene.client(), ground)


def why(findings: Sequence[Finding], vmid: int = OLD_VMID) -> tuple[str, str]:
    (found,) = [finding for finding in findings if f"({vmid})" in finding.what]
    return found.verdict, found.why


def kept(scene: Scene, states: States, words: str, verdict: str = "keep") -> None:
    before = scene.mutations()
    found = why(pruned(scene, states).reap())
    assert found[0] == verdict, found
    assert words in found[1], found
    assert (scene.mutations(), OLD_VMID in scene.templates()) == (before, True)


def test_a_superseded_template_is_removed_with_its_disk_and_no_longer_expected(scene: Scene) -> None:
    forgotten: list[str] = []

    findings = pruned(scene, [naming()], forget=forgotten.append).reap()

    assert [finding.verdict for finding in findings] == ["removed", "keep"]
    assert scene.templates() == [CURRENT_VMID]
    assert scene.disks() == [f"local-lvm:base-{CURRENT_VMID}-disk-0", f"local-lvm:vm-{CURRENT_VMID}-cloudinit"]
    assert forgotten == [OLD]


def test_a_plan_changes_nothing(scene: Scene) -> None:
    before = scene.mutations()
    assert why(pruned(scene, [naming()]).find()) == ("remove", f"superseded by {CURRENT}")
    assert (scene.mutations(), scene.templates()) == (before, [OLD_VMID, CURRENT_VMID])


def test_without_an_active_state_nothing_goes(scene: Scene) -> None:
    kept(scene, [], "vyos-template-seed is missing", "unknown")


@pytest.mark.parametrize("status", ["running", "error"])
def test_with_a_state_that_is_not_ok_nothing_goes(scene: Scene, status: Status) -> None:
    kept(scene, [naming(status=status)], f"is {status}", "unknown")
    kept(scene, [naming(), state(ONPREM_EDGE, {}, status=status)], f"vyos-edge is {status}", "unknown")


def test_where_the_current_template_is_gone_or_another_nothing_goes(scene: Scene) -> None:
    kept(scene, [naming(9242)], "names VMID 9242, which the node does not have", "unknown")
    kept(scene, [naming(version=OLD)], f"which says {CURRENT}, ready, not {OLD}, ready", "unknown")


def test_where_the_current_template_lost_its_base_volume_nothing_goes(scene: Scene) -> None:
    scene.stand_in.inventory.machines[CURRENT_VMID].config["scsi0"] = f"local-lvm:vm-{CURRENT_VMID}-disk-0"
    kept(scene, [naming()], "which is no whole template", "unknown")


def test_a_template_that_any_state_mentions_stays(scene: Scene) -> None:
    edge = state(ONPREM_EDGE, {"vms": {"edge-01": {"template_vm_id": OLD_VMID}}})
    kept(scene, [naming(), edge], "platform/onprem/vyos-edge names it")


def test_a_template_that_machines_are_linked_to_stays(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", plugin="zfspool")
    scene.finish(scene.client().create_clone(OLD_VMID, 9250, name="router", description="mine"))
    clone = f"local-lvm:base-{OLD_VMID}-disk-0/vm-9250-disk-0"
    kept(scene, [naming()], f"machines are linked to its disk: {clone}")


@pytest.mark.seconds
def test_links_that_only_the_node_can_see_are_kept_and_that_is_no_error(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", plugin="zfspool")
    scene.finish(scene.client().create_clone(OLD_VMID, 9250, name="router", description="mine"))
    scene.stand_in.access.privileges["/vms/9250"] = frozenset()

    assert why(pruned(scene, [naming()]).reap()) == ("keep", "machines are linked to its disk")
    assert OLD_VMID in scene.templates()


def test_a_protected_template_stays(scene: Scene) -> None:
    scene.client().ensure_config(OLD_VMID, protection=1)
    kept(scene, [naming()], "somebody protected it")


def test_a_locked_template_stays(scene: Scene) -> None:
    scene.stand_in.inventory.machines[OLD_VMID].config["lock"] = "backup"
    kept(scene, [naming()], "it is locked (backup)")


def test_while_a_seed_is_at_work_at_the_site_nothing_goes(scene: Scene) -> None:
    assert why(pruned(scene, [naming()], at_work=lambda: "r1").reap()) == ("keep", "run r1 seeds at this site")
    assert OLD_VMID in scene.templates()


def test_a_template_without_our_lineage_or_with_a_copy_of_it_is_no_finding(scene: Scene) -> None:
    machine = scene.stand_in.inventory.machines[OLD_VMID]
    lineage = scene.seeder().audit(OLD_VMID).lineage
    assert lineage is not None
    for description in ("our golden image", description_of(lineage.model_copy(update={"vmid": 9299}))):
        machine.config["description"] = description
        findings = pruned(scene, [naming()]).reap()
        assert [finding.what.rsplit(" ", 1)[1] for finding in findings] == [f"({CURRENT_VMID})"]
    assert OLD_VMID in scene.templates()


def test_a_template_that_a_state_mentions_since_it_was_listed_stays(scene: Scene) -> None:
    answers = iter([[naming()]])
    edge = state(ONPREM_EDGE, {"template_vm_id": OLD_VMID})

    findings = pruned(scene, lambda: next(answers, [naming(), edge])).reap()

    assert why(findings) == ("keep", f"{ONPREM_EDGE} names it")
    assert OLD_VMID in scene.templates()


@pytest.fixture
def scratch(scene: Scene) -> int:
    """What a replacement leaves that ended between its last two steps: another record's template stands under the
    current VMID, and the one that was made until it stood is still there."""
    scene.stand_in.faults.add(Rule("DELETE", "/nodes/pve1/qemu/9202", Answer(500, "", "the node is busy")))
    record = make_record(scene.directory / "objects", version=NEXT, seed=b"next")
    url = f"https://127.0.0.1:{scene.objects.port}/{record.variants['qcow2'].file_name}"
    options = TemplateOptions(template_vm_id=CURRENT_VMID, rebuild_if_exists=True)
    with pytest.raises(HyopsError, match="the node is busy"):
        scene.seeder().seed(scene.request(record, url=url), options)
    assert sorted(scene.templates()) == [OLD_VMID, CURRENT_VMID, 9202]
    return 9202


@pytest.mark.seconds
def test_a_scratch_whose_template_stands_goes_and_its_version_is_expected_as_before(
    scene: Scene, scratch: int
) -> None:
    forgotten: list[str] = []

    findings = pruned(scene, [naming(version=NEXT)], forget=forgotten.append).reap()

    assert why(findings, scratch) == ("removed", f"it was made until VMID {CURRENT_VMID} stands, and that one does")
    assert why(findings, CURRENT_VMID)[0] == "keep"
    assert (scene.templates(), forgotten) == ([CURRENT_VMID], [OLD])


@pytest.mark.seconds
def test_a_scratch_that_a_state_names_or_a_machine_is_linked_to_stays(scene: Scene, scratch: int) -> None:
    edge = state(ONPREM_EDGE, {"template_vm_id": scratch})
    assert why(pruned(scene, [naming(version=NEXT), edge]).find(), scratch)[0] == "keep"
    scene.stand_in.storages.configure("local-lvm", plugin="zfspool")
    scene.finish(scene.client().create_clone(scratch, 9300, name="edge", full=0))

    found = why(pruned(scene, [naming(version=NEXT)]).find(), scratch)

    assert found == ("keep", f"machines are linked to its disk: local-lvm:base-{scratch}-disk-0/vm-9300-disk-0")


@pytest.mark.seconds
def test_a_scratch_whose_template_does_not_stand_stays(scene: Scene, scratch: int) -> None:
    del scene.stand_in.inventory.machines[CURRENT_VMID]

    assert why(pruned(scene, [naming(version=NEXT)]).reap(), scratch)[0] == "unknown"
    assert scratch in scene.templates()


@pytest.mark.seconds
def test_while_a_seed_is_at_work_its_scratch_stays(scene: Scene, scratch: int) -> None:
    findings = pruned(scene, [naming(version=NEXT)], at_work=lambda: "r1").reap()

    assert why(findings, scratch) == ("keep", "run r1 seeds at this site")


@pytest.mark.parametrize(
    ("volid", "parent"),
    [
        ("local-lvm:vm-105-disk-0", "base-9200-disk-0"),
        ("tank:vm-105-disk-0", "base-9200-disk-0@__base__"),
        ("local:105/vm-105-disk-0.qcow2", "../9200/base-9200-disk-0.qcow2"),
        ("local:9200/base-9200-disk-0.qcow2/105/vm-105-disk-0.qcow2", None),
        ("tank:base-9200-disk-0/vm-105-disk-0", None),
    ],
)
def test_a_link_is_seen_however_the_storage_tells_it(volid: str, parent: str | None) -> None:
    assert linked_volumes([Volume(volid=volid, parent=parent)], 9200) == [volid]


@pytest.mark.parametrize(
    ("volid", "parent"),
    [
        ("local-lvm:base-9200-disk-0", None),
        ("local:9200/base-9200-disk-0.qcow2", None),
        ("local-lvm:vm-105-disk-0", "base-92001-disk-0"),
        ("local-lvm:vm-105-disk-0", "vm-9200-disk-0"),
    ],
)
def test_a_templates_own_disk_and_other_bases_are_no_links(volid: str, parent: str | None) -> None:
    assert linked_volumes([Volume(volid=volid, parent=parent)], 9200) == []


@pytest.mark.seconds
@kills(some=131, of_all=30)
def test_killed_at_any_line_nothing_else_is_gone_and_the_next_one_ends_the_work(scene: Scene, every: int) -> None:
    work = pruned(scene, [naming()])
    kills = 0
    for line in killed_at_each_line(work.reap, superseded, cleanup, removal, every=every):
        work.reap()
        assert scene.templates() == [CURRENT_VMID], line
        assert seed(scene, OLD) == OLD_VMID
        kills += 1
    assert kills > 60 // every
    assert scene.templates() == [CURRENT_VMID]
