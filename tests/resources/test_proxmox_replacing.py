"""A VMID that an operator names: taken, adopted, refused, or replaced by a successor that stands first."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.faults import Answer, DropAfterCommit, Rule
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.client import Method, ProxmoxClient
from resources.sites.proxmox.errors import SeedBusy, TemplateMissing, VmidTaken
from resources.sites.proxmox.lineage import description_of, template_name
from resources.sites.proxmox.seed import ProxmoxSeeder
from tests.hetzner_lab import ENVIRONMENT
from tests.killing import kills
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene

pytestmark = pytest.mark.seconds

WANTED = 9150
"""Outside the site's range, as HybridOps' own VMIDs may be."""
DELETED = 6
"""Which changing call of a replacement destroys the old template."""
AT = TemplateOptions(template_vm_id=WANTED)
REPLACE = TemplateOptions(template_vm_id=WANTED, rebuild_if_exists=True)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


@pytest.fixture
def occupied(scene: Scene) -> Scene:
    """The scene, with another record's template under the VMID."""
    assert scene.seeder().seed(scene.other(), AT).vmid == WANTED
    return scene


def require_only_the_record_at_the_wanted_vmid(scene: Scene, where: str = "") -> None:
    assert list(scene.stand_in.inventory.machines) == [WANTED], where
    assert scene.disks() == [f"local-lvm:base-{WANTED}-disk-0", f"local-lvm:vm-{WANTED}-cloudinit"], where
    disk = scene.stand_in.volume_path(f"local-lvm:base-{WANTED}-disk-0")
    assert sha256_of_file(disk) == scene.record.disk.sha256, where
    before = scene.mutations()
    assert scene.seeder().seed(scene.request(), REPLACE).outcome == "adopted", where
    assert scene.mutations() == before, where


def test_a_free_vmid_that_is_named_is_taken_and_adopted_from_then_on(scene: Scene) -> None:
    assert scene.seeder().seed(scene.request(), AT).outcome == "created"
    before = scene.mutations()

    for options in (AT, REPLACE, None):
        again = scene.seeder().seed(scene.request(), options)
        assert (again.outcome, again.vmid) == ("adopted", WANTED)
    assert scene.mutations() == before


def test_a_template_outside_the_range_is_found_without_its_tags(scene: Scene) -> None:
    scene.seeder().seed(scene.request(), AT)
    del scene.machine(WANTED).config["tags"]

    assert scene.seeder().seed(scene.request()).vmid == WANTED


def test_hybridops_hardware_goes_into_the_template(scene: Scene) -> None:
    options = TemplateOptions(
        template_name="vyos-1.5-template", cpu_cores=4, memory_mb=1024, ci_username="vyos", network_bridge="vmbr0"
    )

    vmid = scene.seeder().seed(scene.request(), options).vmid

    config = scene.machine(vmid).config
    assert [config[key] for key in ("name", "cores", "memory", "ciuser")] == ["vyos-1.5-template", 4, "1024", "vyos"]


def test_another_storage_than_the_sites_is_taken_where_it_is_named(scene: Scene) -> None:
    seeded = scene.seeder().seed(scene.request(), TemplateOptions(storage_vm="ceph"))

    assert seeded.volid == "ceph:base-9200-disk-0"
    assert scene.seeder().seed(scene.request()).outcome == "adopted"


def test_what_may_not_be_made_is_adopted_or_missing(scene: Scene) -> None:
    only_adopt = TemplateOptions(seed_if_missing=False)
    with pytest.raises(TemplateMissing, match="the site holds no template"):
        scene.seeder().seed(scene.request(), only_adopt)
    assert scene.mutations() == 0
    scene.seeder().seed(scene.request())

    assert scene.seeder().seed(scene.request(), only_adopt).outcome == "adopted"
    with pytest.raises(TemplateMissing, match=f"VMID {WANTED} holds no template"):
        scene.seeder().seed(scene.request(), only_adopt.model_copy(update={"template_vm_id": WANTED}))


def test_a_record_that_stands_under_another_vmid_is_not_made_twice(scene: Scene) -> None:
    scene.seeder().seed(scene.request())

    for options in (AT, REPLACE):
        with pytest.raises(VmidTaken, match="stands complete as VMID 9200") as refusal:
            scene.seeder().seed(scene.request(), options)
        assert "set it to 9200" in refusal.value.hint


def test_another_records_template_is_never_relabelled(occupied: Scene) -> None:
    before, config = occupied.mutations(), dict(occupied.machine(WANTED).config)

    with pytest.raises(VmidTaken, match=r"template of vyos-1\.5 2026\.03\.04-0027-rolling, not") as refusal:
        occupied.seeder().seed(occupied.request(), AT)

    assert "rebuild_if_exists" in refusal.value.hint
    assert occupied.machine(WANTED).config == config
    assert occupied.mutations() == before


def test_a_look_ahead_says_what_a_seed_would_do_and_changes_nothing(occupied: Scene) -> None:
    before, seeder = occupied.mutations(), occupied.seeder()

    with pytest.raises(VmidTaken, match="not a complete one"):
        seeder.outlook(occupied.request().record, AT, ENVIRONMENT)
    old = seeder.outlook(occupied.record, REPLACE, ENVIRONMENT).replaces
    assert old is not None
    assert old.vmid == WANTED
    assert seeder.outlook(occupied.record, TemplateOptions(), ENVIRONMENT).adopt is None
    assert occupied.mutations() == before


def test_a_replaced_template_goes_only_once_its_successor_is_ready(occupied: Scene) -> None:
    seen: list[tuple[str, str]] = []
    occupied.stand_in.observers.append(lambda exchange: seen.append((exchange.method, exchange.path)))

    seeded = occupied.seeder().seed(occupied.request(), REPLACE)

    changes = [f"{method} {path.removeprefix('/nodes/pve1')}" for method, path in seen if method != "GET"]
    assert changes == [
        "POST /storage/local/download-url",
        "POST /qemu",
        "PUT /qemu/9200/config",
        "POST /qemu/9200/template",
        "PUT /qemu/9200/config",
        f"DELETE /qemu/{WANTED}",
        "POST /qemu",
        f"PUT /qemu/{WANTED}/config",
        f"POST /qemu/{WANTED}/template",
        f"PUT /qemu/{WANTED}/config",
        "DELETE /qemu/9200",
    ]
    assert (seeded.outcome, seeded.vmid, seeded.replaced) == ("created", WANTED, "2026.03.04-0027-rolling")
    assert seeded.bytes_transferred == occupied.qcow2.stat().st_size
    require_only_the_record_at_the_wanted_vmid(occupied)


def test_a_linked_clone_keeps_the_template_that_it_reads_from(occupied: Scene) -> None:
    client = occupied.client()
    occupied.stand_in.storages.configure("local-lvm", plugin="zfspool")
    occupied.finish(client.create_clone(WANTED, 9400, name="edge", full=0))
    before = occupied.mutations()

    with pytest.raises(VmidTaken, match=f"base of linked clones: local-lvm:base-{WANTED}-disk-0/vm-9400-disk-0"):
        occupied.seeder().seed(occupied.request(), REPLACE)
    assert occupied.mutations() == before


def test_a_linked_clone_that_the_token_cannot_see_is_known_to_the_node(occupied: Scene) -> None:
    occupied.stand_in.storages.configure("local-lvm", plugin="zfspool")
    occupied.finish(occupied.client().create_clone(WANTED, 9400, name="edge", full=0))
    occupied.stand_in.access.privileges["/vms/9400"] = frozenset()

    with pytest.raises(VmidTaken, match="still in use by linked"):
        occupied.seeder().seed(occupied.request(), REPLACE)

    assert occupied.machine(WANTED).is_template
    assert occupied.stand_in.volume_path(f"local-lvm:base-{WANTED}-disk-0").exists()
    # The successor stands all the same, and is what a seed without a VMID adopts.
    assert occupied.seeder().seed(occupied.request()).vmid == 9200


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"name": "unrelated"}, "is a virtual machine, not a template"),
        ({"name": "unrelated", "template": 1}, "does not say that we made it"),
        ({"lock": "create"}, "is stuck under creation"),
    ],
)
def test_what_is_not_provably_ours_is_never_replaced(scene: Scene, config: dict[str, str | int], why: str) -> None:
    scene.stand_in.inventory.machines[WANTED] = Machine(WANTED, dict(config))

    for options in (AT, REPLACE):
        with pytest.raises(VmidTaken, match=why):
            scene.seeder().seed(scene.request(), options)
    assert scene.machine(WANTED).config == config
    assert scene.mutations() == 0


def test_a_clone_that_carries_our_words_is_not_ours(occupied: Scene) -> None:
    occupied.finish(occupied.client().create_clone(WANTED, 9400, name="edge", full=1))
    occupied.finish(occupied.client().create_template(9400))
    over_it = TemplateOptions(template_vm_id=9400, rebuild_if_exists=True)

    with pytest.raises(VmidTaken, match="does not say that we made it"):
        occupied.seeder().seed(occupied.request(), over_it)


@pytest.mark.parametrize(
    ("key", "value", "why"), [("lock", "backup", r"locked \(backup\)"), ("protection", 1, "prot")]
)
def test_what_is_held_is_not_replaced(occupied: Scene, key: str, value: str | int, why: str) -> None:
    occupied.machine(WANTED).config[key] = value

    with pytest.raises(VmidTaken, match=why):
        occupied.seeder().seed(occupied.request(), REPLACE)


def test_a_machine_that_the_token_may_not_see_is_not_replaced(occupied: Scene) -> None:
    occupied.stand_in.access.privileges[f"/vms/{WANTED}"] = ALL_PRIVILEGES - {"VM.Audit"}
    before = occupied.mutations()

    for options in (AT, REPLACE):
        with pytest.raises(VmidTaken, match="taken by a machine that the token may not see"):
            occupied.seeder().seed(occupied.request(), options)
    assert occupied.mutations() == before


def test_an_unfinished_machine_of_another_seed_is_not_replaced(occupied: Scene) -> None:
    lineage = occupied.seeder().audit(WANTED).lineage
    assert lineage is not None
    half = lineage.model_copy(update={"state": "building", "hardware": None})
    occupied.machine(WANTED).config["description"] = description_of(half)

    with pytest.raises(VmidTaken, match="belongs to a seed that is not finished"):
        occupied.seeder().seed(occupied.request(), REPLACE)


def test_a_vmid_that_another_user_takes_while_the_old_one_goes_leaves_the_successor(occupied: Scene) -> None:
    taken = Answer(500, "", f"unable to create VM {WANTED} - VM {WANTED} already exists on node 'pve1'")
    occupied.stand_in.faults.add(Rule("POST", "/nodes/pve1/qemu", taken, nth=frozenset({2})))

    with pytest.raises(VmidTaken, match="taken by another machine meanwhile"):
        occupied.seeder().seed(occupied.request(), REPLACE)

    assert occupied.seeder().find(occupied.record) is not None
    assert occupied.seeder().seed(occupied.request(), REPLACE).outcome == "resumed"
    require_only_the_record_at_the_wanted_vmid(occupied)


@pytest.mark.parametrize("path", [f"/nodes/pve1/qemu/{WANTED}", "/nodes/pve1/qemu/9200"])
def test_a_lost_answer_to_a_destruction_is_looked_up(occupied: Scene, path: str) -> None:
    occupied.stand_in.workers.delay_seconds = 0.05
    occupied.stand_in.faults.add(Rule("DELETE", path, DropAfterCommit()))

    assert occupied.seeder().seed(occupied.request(), REPLACE).vmid == WANTED
    require_only_the_record_at_the_wanted_vmid(occupied)


def test_a_scratch_that_was_cloned_meanwhile_is_kept_and_reported(occupied: Scene) -> None:
    assert killed(occupied, DELETED, after=True)
    occupied.stand_in.storages.configure("local-lvm", plugin="zfspool")
    occupied.finish(occupied.client().create_clone(9200, 9400, name="edge", full=0))

    seeded = occupied.seeder().seed(occupied.request(), REPLACE)

    assert (seeded.vmid, seeded.outcome) == (WANTED, "resumed")
    assert any("scratch" in warning and "9400" in warning for warning in seeded.warnings)
    before = occupied.mutations()
    assert occupied.seeder().seed(occupied.request(), REPLACE).outcome == "adopted"
    assert occupied.mutations() == before


def test_a_seed_that_names_no_vmid_adopts_what_a_killed_replacement_left_ready(occupied: Scene) -> None:
    assert killed(occupied, DELETED, after=True)

    assert occupied.seeder().seed(occupied.request()).vmid == 9200
    assert occupied.seeder().seed(occupied.request(), REPLACE).outcome == "resumed"
    require_only_the_record_at_the_wanted_vmid(occupied)


def test_a_replacement_that_a_live_run_is_making_is_waited_for(occupied: Scene) -> None:
    assert killed(occupied, DELETED, after=True)
    client = occupied.client()
    other = ProxmoxSeeder(client, client.site, is_live=lambda run_id: run_id == "run-1")
    request = occupied.request()

    with pytest.raises(SeedBusy, match="run-1"):
        other.seed(type(request)(record=request.record, url=request.url, run_id="run-2", site=request.site), REPLACE)


def test_a_template_of_this_record_that_was_changed_is_replaced_where_it_stands(scene: Scene) -> None:
    scene.seeder().seed(scene.request(), AT)
    scene.machine(WANTED).config["bios"] = "ovmf"

    with pytest.raises(VmidTaken, match="its bios was seabios at the commit, and is ovmf"):
        scene.seeder().seed(scene.request(), AT)
    assert scene.seeder().seed(scene.request(), REPLACE).outcome == "created"
    require_only_the_record_at_the_wanted_vmid(scene)


@pytest.mark.parametrize(
    ("nth", "after"),
    [
        pytest.param(1, False, id="before the 1st"),
        *(pytest.param(nth, True, id=f"after the {nth}th") for nth in range(1, 12)),
        # Between one change and the next it only reads: the node stands as after the one before.
        *(pytest.param(nth, False, id=f"before the {nth}th", marks=pytest.mark.long) for nth in range(2, 12)),
    ],
)
def test_a_replacement_killed_around_any_changing_call_is_finished_by_the_next(
    occupied: Scene, nth: int, *, after: bool
) -> None:
    occupied.stand_in.workers.delay_seconds = 0.02
    old = occupied.seeder().audit(WANTED).lineage
    assert killed(occupied, nth, after=after)

    occupied.settle()
    # At no moment is there neither the old template nor a ready successor.
    ready = [facts for vmid in occupied.templates() if (facts := occupied.seeder().audit(vmid)).converted]
    assert any(facts.lineage == old or facts.problems(occupied.record) == [] for facts in ready)
    occupied.seeder().seed(occupied.request(), REPLACE)
    require_only_the_record_at_the_wanted_vmid(occupied)


@kills(some=20, of_all=3)
def test_a_replacement_killed_while_it_reads_is_finished_by_the_next(occupied: Scene, every: int) -> None:
    """Two records take turns under one VMID."""
    turns = [occupied.request(), occupied.other()]
    nth = 1
    while killed(occupied, nth, after=False, counting_reads=True, request=turns[0]):
        seeded = occupied.seeder().seed(turns[0], REPLACE)
        assert (seeded.vmid, list(occupied.stand_in.inventory.machines)) == (WANTED, [WANTED]), f"call {nth}"
        assert len(occupied.disks()) == 2, f"call {nth}"
        turns.reverse()
        nth += every
    assert nth > 60


class MortalClient(ProxmoxClient):
    """Dies by SIGKILL just before, or just after, its nth call; reading calls count only where asked for."""

    def die(self, nth: int, *, after: bool, counting_reads: bool) -> "MortalClient":
        self.left, self.after, self.counting_reads = [nth], after, counting_reads
        return self

    def _call(self, method: Method, path: tuple[str | int, ...], parameters: dict[str, Any]) -> Any:
        if method == "get" and not self.counting_reads:
            return super()._call(method, path, parameters)
        self.left[0] -= 1
        if self.left[0] == 0 and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super()._call(method, path, parameters)
        if self.left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def killed(
    scene: Scene, nth: int, *, after: bool, counting_reads: bool = False, request: SeedRequest | None = None
) -> bool:
    """Replace in a child that dies at its nth call; False where it lived to the end, having made fewer."""
    child = os.fork()
    if child == 0:
        try:
            site = scene.site()
            client = MortalClient(site, TOKEN, timeouts=QUICK).die(nth, after=after, counting_reads=counting_reads)
            ProxmoxSeeder(client, site).seed(request or scene.request(), REPLACE)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_replacing_template_is_named_after_its_record(occupied: Scene) -> None:
    assert occupied.seeder().seed(occupied.request(), REPLACE).name == template_name(occupied.record)
