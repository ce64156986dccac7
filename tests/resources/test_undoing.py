"""What named runs made is removed, at both clouds: another run's, and what is needed by now, stays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_lab.faults import Answer
from resources.sites.hetzner import undoing as at_hetzner
from resources.sites.proxmox import undoing as at_proxmox
from tests.hetzner_lab import ENVIRONMENT, Lab, hetzner_lab
from tests.proxmox_scene import Scene, proxmox_scene

RUN = frozenset({"run-1"})
ANOTHER = frozenset({"run-2"})


def not_needed(ref: str) -> str | None:
    return None


def a_state(ref: str) -> str | None:
    return f"a state names {ref}"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


@pytest.mark.seconds
def test_a_protected_snapshot_of_the_run_goes(lab: Lab) -> None:
    seeded = lab.seeder().seed(lab.request(run_id="run-1"))
    assert len(at_hetzner.remaining(lab.client(), RUN)) == 1

    (finding,) = at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, RUN, needed=not_needed)

    assert (finding.verdict, f"({seeded.image_ref})" in finding.what) == ("removed", True)
    assert (lab.snapshots(), at_hetzner.remaining(lab.client(), RUN)) == ([], [])


@pytest.mark.seconds
def test_another_runs_snapshot_is_not_touched(lab: Lab) -> None:
    lab.seeder().seed(lab.request(run_id="run-1"))
    before = lab.mutations()

    assert at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, ANOTHER, needed=not_needed) == []
    assert lab.mutations() == before


def test_a_snapshot_that_is_needed_stays_protected(lab: Lab) -> None:
    seeded = lab.seeder().seed(lab.request(run_id="run-1"))
    before = lab.mutations()

    (finding,) = at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, RUN, needed=a_state)

    assert (finding.verdict, finding.why) == ("keep", f"a state names {seeded.image_ref}")
    assert (lab.mutations(), lab.snapshots()[0].protected) == (before, True)


@pytest.mark.seconds
def test_a_snapshot_that_another_caller_deletes_meanwhile_counts_as_gone(lab: Lab) -> None:
    lab.seeder().seed(lab.request(run_id="run-1"))

    def deleted_by_another_caller(ref: str) -> None:
        (snapshot,) = lab.snapshots()
        lab.client().unprotect_snapshot(snapshot)
        lab.client().delete_snapshot(snapshot)

    (finding,) = at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, RUN, needed=deleted_by_another_caller)

    assert (finding.verdict, finding.why) == ("removed", "gone meanwhile")


@pytest.mark.seconds
def test_a_snapshot_that_is_needed_once_it_is_unprotected_is_protected_again(lab: Lab) -> None:
    lab.seeder().seed(lab.request(run_id="run-1"))
    answers = iter([None, "a state names it"])

    (finding,) = at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, RUN, needed=lambda ref: next(answers))

    assert (finding.verdict, lab.snapshots()[0].protected) == ("keep", True)


def test_a_snapshot_that_does_not_go_is_reported_and_remains(lab: Lab) -> None:
    lab.seeder().seed(lab.request(run_id="run-1"))
    lab.fault("DELETE", "/images/[0-9]+", Answer(422, "invalid_input"))

    (finding,) = at_hetzner.undo(lab.client(), "fsn1", ENVIRONMENT, RUN, needed=not_needed)

    assert finding.verdict == "failed"
    assert len(at_hetzner.remaining(lab.client(), RUN)) == 1


def test_the_template_of_the_run_goes_and_another_runs_stays(scene: Scene) -> None:
    request = replace(scene.request(), run_id="run-1")
    seeded = scene.seeder().seed(request)
    seeder, record = scene.seeder(), request.record
    assert at_proxmox.undo(seeder, "pve1", ENVIRONMENT, record, ANOTHER, needed=not_needed) == []
    assert scene.templates() == [seeded.vmid]

    (kept,) = at_proxmox.undo(seeder, "pve1", ENVIRONMENT, record, RUN, needed=a_state)
    assert (kept.verdict, kept.why) == ("keep", f"a state names {seeded.vmid}")

    (finding,) = at_proxmox.undo(seeder, "pve1", ENVIRONMENT, record, RUN, needed=not_needed)
    assert finding.verdict == "removed"
    assert (scene.templates(), at_proxmox.remaining(seeder, RUN)) == ([], [])


def test_a_template_that_a_machine_is_linked_to_stays(scene: Scene) -> None:
    request = replace(scene.request(), run_id="run-1")
    seeded = scene.seeder().seed(request)
    scene.stand_in.storages.configure("local-lvm", plugin="zfspool")
    scene.finish(scene.client().create_clone(seeded.vmid, 9290, name="edge", full=0))

    (finding,) = at_proxmox.undo(scene.seeder(), "pve1", ENVIRONMENT, request.record, RUN, needed=not_needed)

    assert (finding.verdict, finding.why.startswith("machines are linked to its disk")) == ("keep", True)
    assert scene.templates() == [seeded.vmid]
