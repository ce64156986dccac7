"""What dead runs left on a node is removed by its own lineage; copies, stuck and unrelated machines are left alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.upkeep import Finding, IsLive
from hyops_lab.proxmox.inventory import Machine
from resources.sites import cleanup
from resources.sites.proxmox import removal, sweep
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import TaskFailed
from resources.sites.proxmox.lineage import TemplateLineage, description_of
from resources.sites.proxmox.sweep import Sweep
from tests.hetzner_lab import ENVIRONMENT
from tests.killing import killed_at_each_line, kills
from tests.proxmox_scene import QUICK, Scene, proxmox_scene

NOW = 1_800_000_000
PAST, FUTURE = NOW - 60, NOW + 60
UNFINISHED, SMOKE = 9210, 9299


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def unknown(run_id: str) -> bool | None:
    return None


def ended(run_id: str) -> bool | None:
    return False


def at_work(run_id: str) -> bool | None:
    return True


def lineage(scene: Scene, vmid: int, **changes: object) -> TemplateLineage:
    record = scene.record
    made = TemplateLineage(
        vmid=vmid,
        node="pve1",
        key=record.key,
        version=record.version,
        record_digest=record.digest,
        disk_sha256=record.disk.sha256,
        qcow2_sha256=record.variants["qcow2"].sha256,
        source_url=scene.url,
        seed_id="0123456789abcdef",
        run_id="dead",
        state="building",
        expires=FUTURE,
        lab=True,
    )
    return made.made_by(ENVIRONMENT).model_copy(update=changes)


def left_behind(scene: Scene, vmid: int, written: TemplateLineage | None, **config: str | int) -> None:
    """A machine, as a run that was killed leaves it."""
    words: dict[str, str | int] = {} if written is None else {"description": description_of(written)}
    scene.stand_in.inventory.machines[vmid] = Machine(vmid, {"name": f"vm-{vmid}", **words, **config})


def unfinished(scene: Scene, **changes: object) -> None:
    left_behind(scene, UNFINISHED, lineage(scene, UNFINISHED, **changes))


def smoke_clone(scene: Scene, **changes: object) -> None:
    marked = lineage(scene, SMOKE, smoke_of=UNFINISHED, **changes)
    left_behind(scene, SMOKE, marked, name=f"smoke-{SMOKE}")


def swept(scene: Scene, is_live: IsLive, *, now: float = NOW, seeding: str | None = None) -> Sweep:
    client = scene.client()
    return Sweep(
        client,
        "lab",
        environment=ENVIRONMENT,
        is_live=is_live,
        at_work=lambda: seeding,
        clock=lambda: now,
    )


def machines(scene: Scene) -> list[int]:
    return sorted(scene.stand_in.inventory.machines)


def verdicts(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.what.split(" ")[0], finding.verdict) for finding in findings]


def test_a_half_made_template_and_its_smoke_clone_are_removed_the_clone_first(scene: Scene) -> None:
    unfinished(scene)
    smoke_clone(scene)

    assert verdicts(swept(scene, ended).reap()) == [("smoke", "removed"), ("unfinished", "removed")]
    assert machines(scene) == []


def test_what_a_seed_that_was_killed_really_leaves_is_removed_once_its_time_is_over(scene: Scene) -> None:
    """The seed itself writes the time: no other process knows how long it may take."""
    with pytest.raises(TaskFailed, match="boots no guests"):
        scene.seeder(template_smoke_gate=True).seed(scene.request())
    over = time.time() + QUICK.lifetime

    assert verdicts(swept(scene, unknown, now=over - 60).reap()) == [("unfinished", "keep")]
    assert verdicts(swept(scene, unknown, now=over + 1).reap()) == [("unfinished", "removed")]
    assert (machines(scene), scene.disks()) == ([], [])


def test_what_a_run_at_work_needs_stays_even_past_its_time(scene: Scene) -> None:
    unfinished(scene, expires=PAST)
    smoke_clone(scene, expires=PAST)

    findings = swept(scene, at_work).reap()

    assert {finding.verdict for finding in findings} == {"keep"}
    assert machines(scene) == [UNFINISHED, SMOKE]


def test_a_clone_that_goes_while_it_is_being_removed_counts_as_removed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke_clone(scene)
    stop = ProxmoxClient.stop_machine

    def too_late(client: ProxmoxClient, vmid: int) -> str:
        del scene.stand_in.inventory.machines[vmid]
        return stop(client, vmid)

    monkeypatch.setattr(ProxmoxClient, "stop_machine", too_late)

    (finding,) = swept(scene, ended).reap()
    assert (finding.verdict, finding.why.endswith("gone meanwhile")) == ("removed", True)


def test_a_machine_that_a_later_run_may_have_taken_over_stays(scene: Scene) -> None:
    """A run that resumes goes on with the machine of a dead one: the name in it is the dead one's."""
    unfinished(scene, expires=PAST)

    (finding,) = swept(scene, ended, seeding="later").reap()

    assert (finding.verdict, finding.why) == ("keep", "run later seeds at this site")
    assert machines(scene) == [UNFINISHED]


def test_a_finished_template_is_no_leftover(scene: Scene) -> None:
    vmid = scene.seeder().seed(scene.request()).vmid

    assert swept(scene, ended, now=time.time() * 2).reap() == []
    assert scene.templates() == [vmid]


def test_a_finished_template_says_no_time_after_which_it_would_be_one(scene: Scene) -> None:
    assert scene.seeder().seed(scene.request()).lineage.expires is None


def test_a_clone_that_an_operator_made_carries_a_copy_and_is_not_ours(scene: Scene) -> None:
    left_behind(scene, 9250, lineage(scene, UNFINISHED, expires=PAST), name="router")

    assert swept(scene, ended).reap() == []
    assert machines(scene) == [9250]


@pytest.mark.parametrize("name", ["smoke-9260", "smoke-1"])
def test_a_machine_with_the_name_of_a_smoke_clone_and_no_lineage_is_left_to_a_person(scene: Scene, name: str) -> None:
    left_behind(scene, 9260, None, name=name)

    (finding,) = swept(scene, ended).reap()

    assert finding.verdict == "by hand"
    assert "qm destroy 9260 --purge" in finding.why
    assert machines(scene) == [9260]


def test_one_outside_of_the_range_is_found_by_its_name_and_left_to_a_person(scene: Scene) -> None:
    """HybridOps adds 9000 to the template's VMID."""
    left_behind(scene, 18200, None, name="smoke-18200")

    assert verdicts(swept(scene, ended).reap()) == [("machine", "by hand")]


@pytest.mark.parametrize("name", ["smoker-1", "a-smoke-1", "smoke-x", "router"])
def test_another_name_without_lineage_is_no_finding(scene: Scene, name: str) -> None:
    left_behind(scene, 9260, None, name=name)

    assert swept(scene, ended).reap() == []


def test_a_renamed_smoke_clone_is_left_to_a_person(scene: Scene) -> None:
    """A person gave it a name, and so perhaps a use."""
    left_behind(scene, SMOKE, lineage(scene, SMOKE, smoke_of=9200, expires=PAST), name="router")

    assert verdicts(swept(scene, ended).reap()) == [("smoke", "by hand")]
    assert machines(scene) == [SMOKE]


def test_a_smoke_clone_that_became_a_template_is_left_to_a_person(scene: Scene) -> None:
    left_behind(scene, SMOKE, lineage(scene, SMOKE, smoke_of=9200), name=f"smoke-{SMOKE}", template=1)

    assert verdicts(swept(scene, ended).reap()) == [("smoke", "by hand")]


def test_a_locked_machine_is_left_with_the_command_that_a_token_may_not_run(scene: Scene) -> None:
    left_behind(scene, UNFINISHED, lineage(scene, UNFINISHED), lock="clone")

    (finding,) = swept(scene, ended).reap()

    assert finding.verdict == "by hand"
    assert f"qm unlock {UNFINISHED}" in finding.why


def test_a_machine_stuck_under_creation_is_left_with_the_commands(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9230] = Machine(9230, {"lock": "create"})

    (finding,) = swept(scene, ended).reap()

    assert finding.verdict == "by hand"
    assert "qm unlock 9230 && qm destroy 9230 --purge" in finding.why


def test_a_machine_that_was_finished_since_it_was_listed_stays(scene: Scene) -> None:
    """It is read once more right before."""
    unfinished(scene)
    answers = iter([False])

    def is_live(run_id: str) -> bool | None:
        known = next(answers, None)
        if known is False:
            left_behind(scene, UNFINISHED, lineage(scene, UNFINISHED, state="ready"), template=1)
        return known

    (finding,) = swept(scene, is_live).reap()

    assert (finding.verdict, finding.why) == ("keep", "it was finished meanwhile")
    assert machines(scene) == [UNFINISHED]


def test_a_template_that_machines_are_linked_to_is_kept_and_that_is_no_error(scene: Scene) -> None:
    vmid = scene.seeder().seed(scene.request()).vmid
    scene.stand_in.storages.configure("local-lvm", plugin="zfspool")
    scene.finish(scene.client().create_clone(vmid, 9250, name="router", description="mine"))
    # As if its seed had been killed before the commit.
    left = lineage(scene, vmid)
    scene.stand_in.inventory.machines[vmid].config["description"] = description_of(left)

    (finding,) = swept(scene, ended).reap()

    assert (finding.verdict, finding.why) == ("keep", "machines are linked to its disk")
    assert machines(scene) == [vmid, 9250]


def test_looking_changes_nothing(scene: Scene) -> None:
    unfinished(scene)
    before = scene.mutations()

    assert verdicts(swept(scene, ended).find()) == [("unfinished", "remove")]
    assert scene.mutations() == before


@pytest.mark.seconds
@kills(some=29, of_all=4)
def test_a_sweep_that_is_killed_at_any_line_removes_nothing_else_and_the_next_one_ends_the_work(
    scene: Scene, every: int
) -> None:
    left_behind(scene, 9250, lineage(scene, UNFINISHED, expires=PAST), name="router")
    left_behind(scene, 9251, lineage(scene, 9251, run_id="alive", expires=PAST))

    def is_live(run_id: str) -> bool | None:
        return run_id == "alive"

    unfinished(scene)
    kills = 0
    for line in killed_at_each_line(swept(scene, is_live).reap, sweep, cleanup, removal, every=every):
        swept(scene, is_live).reap()
        assert machines(scene) == [9250, 9251], line
        unfinished(scene)
        kills += 1
    assert kills > 29 // every
    assert machines(scene) == [9250, 9251]
