import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from hyops_assets.contract.seed_policy import DailyCapReached
from hyops_lab.faults import Answer
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.trace import MUTATING
from resources.sites.hetzner.errors import (
    BrokenImage,
    HetznerUnavailable,
    LimitReached,
    Occupied,
    SeedBusy,
    WrongSource,
)
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.leftovers import TOLERANCE
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.workbench import seeder_name
from tests.hetzner_lab import DISK, PACKED, QUICK, Lab, hetzner_lab, make_record, processes_of_cells
from tests.hetzner_scene import Child, assert_seeded, wait_until
from tests.killing import kills

pytestmark = pytest.mark.seconds


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


# One snapshot per record


def test_a_seed_writes_the_record_to_one_ready_protected_snapshot(lab: Lab) -> None:
    record = make_record()

    image = lab.seeder().seed(lab.request(record))

    assert image.outcome == "created"
    assert image.description == "hyops-vyos-1.5-2026.03.03-0027-rolling"
    assert image.readback_sha256 == record.disk.sha256
    assert image.transport_sha256 == record.variants["raw.xz"].sha256
    assert image.bytes_written == len(DISK)
    assert (image.server_type, image.location) == ("cx23", "fsn1")
    assert image.labels["hyops_lab"] == "true"
    assert_seeded(lab, image)


def test_a_second_seed_adopts_without_a_mutating_call(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request(run_id="run-1"))
    before = lab.mutations(), lab.objects.hits

    second = lab.seeder().seed(lab.request(run_id="run-2"))

    assert (second.outcome, second.image_ref) == ("adopted", first.image_ref)
    assert (lab.mutations(), lab.objects.hits) == before
    assert second.transport_sha256 is None


def test_a_snapshot_that_is_ready_but_unprotected_is_protected(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request())
    lab.snapshots()[0].protected = False

    second = lab.seeder().seed(lab.request())

    assert (second.outcome, second.image_ref) == ("resumed", first.image_ref)
    assert lab.snapshots()[0].protected


def test_a_site_may_leave_snapshots_unprotected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, site={"protect": False}) as lab:
        lab.seeder().seed(lab.request())

        assert not lab.snapshots()[0].protected
        assert lab.seeder().seed(lab.request()).outcome == "adopted"


def test_the_oldest_of_two_ready_snapshots_is_adopted_and_the_other_reported(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request())
    twin = lab.snapshots()[0].model_copy(update={"id": 999_999})
    lab.standin.project.contents.images[twin.id] = twin

    second = lab.seeder().seed(lab.request())

    assert (second.outcome, second.image_ref, second.others) == ("adopted", first.image_ref, ("999999",))


def test_of_several_ready_snapshots_the_one_that_was_named_is_adopted_as_a_plan_says(lab: Lab) -> None:
    lab.seeder().seed(lab.request())
    twin = lab.snapshots()[0].model_copy(update={"id": 999_999})
    lab.standin.project.contents.images[twin.id] = twin
    named = PaidSnapshot(image_ref="999999")

    assert lab.seeder().outlook(lab.request(), named) == "999999"
    assert lab.seeder().seed(lab.request(), named).image_ref == "999999"


def test_a_ready_snapshot_that_is_not_available_is_an_error_and_left_alone(lab: Lab) -> None:
    lab.seeder().seed(lab.request())
    lab.snapshots()[0].status = "unavailable"

    with pytest.raises(BrokenImage, match="is unavailable"):
        lab.seeder().seed(lab.request())
    assert len(lab.snapshots()) == 1


def test_a_pending_snapshot_that_never_became_available_is_deleted_and_written_again(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request())
    broken = lab.snapshots()[0]
    labels = Labels.parse(broken.labels)
    assert labels is not None
    broken.labels = replace(labels, state="pending").written()
    broken.protected, broken.status = False, "unavailable"

    second = lab.seeder().seed(lab.request())

    assert second.outcome == "created"
    assert second.image_ref != first.image_ref
    assert_seeded(lab, second)


def test_nothing_is_bought_beyond_a_cap_where_a_snapshot_that_claims_the_record_is_of_no_use(lab: Lab) -> None:
    lab.seeder().seed(lab.request())
    broken = lab.snapshots()[0]
    labels = Labels.parse(broken.labels)
    assert labels is not None
    broken.labels = replace(labels, state="pending").written()
    broken.protected, broken.status = False, "unavailable"
    before = lab.mutations()

    def refuse() -> None:
        raise DailyCapReached("no more today", hint="wait")

    with pytest.raises(DailyCapReached):
        lab.seeder().seed(lab.request(), before_creation=refuse)
    assert lab.mutations() == before + 1, "the snapshot that is of no use went, and nothing was made"
    assert lab.snapshots() == []


def test_the_snapshot_behind_the_first_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, snapshot_limit=100, site={"snapshot_limit": 100}) as lab:
        first = lab.seeder().seed(lab.request())
        for number in range(120):
            copy = lab.snapshots()[0].model_copy(update={"id": number + 1, "labels": {}})
            lab.standin.project.contents.images[copy.id] = copy

        assert lab.seeder().seed(lab.request()).image_ref == first.image_ref
        with pytest.raises(LimitReached, match="121 snapshots of 100"):
            lab.seeder().seed(lab.request(make_record(lab=False)))


def test_a_foreign_snapshot_of_the_same_description_is_reported_not_adopted(lab: Lab) -> None:
    lab.seeder().seed(lab.request())
    lab.snapshots()[0].labels = {}

    image = lab.seeder().seed(lab.request())

    assert image.outcome == "created"
    assert len(image.others) == 1


# Killed and run again


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        ("source", "created"),
        ("rescue", "created"),
        ("power off", "created"),
        ("commit", "resumed"),
        ("clean up", "adopted"),
    ],
)
def test_a_run_killed_at_any_step_is_taken_up_by_the_next(lab: Lab, step: str, outcome: str) -> None:
    assert not Child(lab, lab.request(run_id="killed"), at=step).go().wait()

    image = lab.seeder().seed(lab.request(run_id="rerun"))

    assert image.outcome == outcome
    assert_seeded(lab, image)


@kills(some=4)
def test_a_run_killed_after_any_change_it_asked_for_is_taken_up_by_the_next(lab: Lab, every: int) -> None:
    """The child dies after each committed change in turn, before it hears of it: no other moment differs."""
    outcomes: list[str] = []
    for last in itertools.count(1, every):
        child = Child(lab, lab.request(run_id=f"killed-{last}"))
        changes = itertools.count(1)

        def kill(exchange: Exchange, child: Child = child, changes: Iterator[int] = changes, last: int = last) -> None:
            if exchange.method in MUTATING and next(changes) == last:
                child.kill()

        lab.watchers[:] = [kill]
        child.go()
        survived = child.wait()
        lab.watchers.clear()
        image = lab.seeder().seed(lab.request(run_id="rerun"))
        assert_seeded(lab, image)
        outcomes.append(image.outcome)
        lab.standin.project.contents.images.pop(int(image.image_ref))
        if survived:
            break

    # key, server, rescue, power, snapshot, labels, protection, server, key: deleted. The last one lives.
    assert outcomes == [*(["created"] * 4 + ["resumed"] * 2 + ["adopted"] * 3)[::every], "adopted"]


def test_a_run_killed_in_the_middle_of_the_write_leaves_nothing_that_the_next_does_not_clear(lab: Lab) -> None:
    lab.objects.stall_after = len(PACKED) // 2
    child = Child(lab, lab.request(run_id="killed")).go()
    assert lab.objects.stalled.wait(20)
    child.kill()
    child.wait()
    wait_until(lambda: processes_of_cells(lab.directory) == [])
    assert lab.leftovers() == [seeder_name(lab.request())] * 2
    lab.objects.stall_after = None

    image = lab.seeder().seed(lab.request(run_id="rerun"))

    assert image.outcome == "created"
    assert image.reaped == (seeder_name(lab.request()),) * 2
    assert_seeded(lab, image)


def test_a_snapshot_that_outlives_its_killed_run_is_awaited_and_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Event()
    with hetzner_lab(tmp_path, monkeypatch, delays={"create_image": killed.is_set}) as lab:
        child = Child(lab, lab.request(run_id="killed")).go()
        wait_until(lambda: len(lab.snapshots()) == 1)
        child.kill()
        child.wait()
        assert lab.snapshots()[0].status == "creating"
        killed.set()

        image = lab.seeder().seed(lab.request(run_id="rerun"))

        assert image.outcome == "resumed"
        assert_seeded(lab, image)


def test_an_interrupted_run_cleans_up_behind_itself(lab: Lab) -> None:
    def interrupt(step: str, done: int, total: int | None) -> None:
        if step == "write" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.seeder().seed(lab.request(), progress=interrupt)

    assert (lab.snapshots(), lab.leftovers()) == ([], [])
    assert processes_of_cells(lab.directory) == []


def test_a_server_that_cannot_be_deleted_fails_the_run_and_the_next_one_deletes_it(lab: Lab) -> None:
    lab.fault("DELETE", r"/servers/\d+", Answer(500, "server_error"), *range(1, 100))
    with pytest.raises(HetznerUnavailable, match="deleting server"):
        lab.seeder().seed(lab.request(run_id="run-1"))
    lab.standin.faults.rules.clear()

    image = lab.seeder().seed(lab.request(run_id="run-2"))

    assert image.outcome == "adopted"
    assert_seeded(lab, image)


def test_a_failed_seed_says_which_server_it_could_not_delete(lab: Lab) -> None:
    lab.objects.served = b"x" * len(PACKED)
    lab.fault("DELETE", r"/servers/\d+", Answer(500, "server_error"), *range(1, 100))

    with pytest.raises(WrongSource) as caught:
        lab.seeder().seed(lab.request())

    assert seeder_name(lab.request()) in caught.value.__notes__[0]


# Others in the same project


def test_a_live_run_of_the_same_seed_is_not_disturbed(lab: Lab) -> None:
    lab.objects.stall_after = 1
    child = Child(lab, lab.request(run_id="live")).go()
    assert lab.objects.stalled.wait(20)
    before = lab.leftovers()

    with pytest.raises(SeedBusy, match="run live"):
        lab.seeder(is_live=lambda run_id: run_id == "live").seed(lab.request(run_id="other"))

    assert lab.leftovers() == before
    child.kill()
    child.wait()


def test_leftovers_of_other_seeds_are_reaped_only_when_they_expired(lab: Lab) -> None:
    contents = lab.standin.project.contents
    Child(lab, lab.request(run_id="killed"), at="rescue").go().wait()
    (server,) = contents.servers.values()
    server.name = next(iter(contents.keys.values())).name = "vyos-seed-other"
    for thing in (server, *contents.keys.values()):
        thing.labels["hyops_seed_id"] = "0123456789abcdef"

    young = lab.seeder().seed(lab.request())
    assert young.reaped == ()
    assert lab.leftovers() == ["vyos-seed-other"] * 2

    later = lab.seeder(clock=lambda: time.time() + QUICK.lifetime + TOLERANCE + 1).seed(lab.request())
    assert (later.outcome, later.reaped) == ("adopted", ("vyos-seed-other",) * 2)
    assert lab.leftovers() == []


def test_a_server_with_the_name_of_ours_and_not_our_labels_is_left_alone(lab: Lab) -> None:
    Child(lab, lab.request(run_id="killed"), at="rescue").go().wait()
    (server,) = lab.standin.project.contents.servers.values()
    server.labels = {"owner": "another"}

    with pytest.raises(Occupied, match="was not made by a seed"):
        lab.seeder().seed(lab.request(run_id="rerun"))

    assert lab.leftovers() == [server.name]
