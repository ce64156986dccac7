import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError, Refused
from resources.sites.hetzner.errors import (
    LimitReached,
    MissingImage,
    NotThatSnapshot,
    Occupied,
    ReadbackMismatch,
    SeedBusy,
    WrongSource,
)
from resources.sites.hetzner.leftovers import TOLERANCE
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.workbench import seeder_name
from tests.hetzner_lab import DISK, PACKED, QUICK, Lab, hetzner_lab, make_record
from tests.hetzner_scene import Child, assert_seeded

pytestmark = pytest.mark.seconds


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


# Refusals that cost nothing


def test_a_full_project_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, site={"snapshot_limit": 1}) as lab:
        lab.seeder().seed(lab.request())
        lab.snapshots()[0].labels = {}
        before = lab.mutations()

        with pytest.raises(LimitReached, match="1 snapshot of 1"):
            lab.seeder().seed(lab.request())
        assert lab.mutations() == before


def test_a_lab_record_is_refused_at_a_real_site_without_a_request(lab: Lab) -> None:
    lab.site = lab.site.model_copy(update={"lab": False})

    with pytest.raises(Refused, match="signed by a lab"):
        lab.seeder().seed(lab.request(make_record(lab=True)))
    assert lab.trace.requests() == []


@pytest.mark.parametrize("served", [b"", PACKED[:-1], PACKED + b"x"], ids=["missing", "truncated", "longer"])
def test_a_source_that_is_not_as_promised_is_refused_before_anything_is_made(lab: Lab, served: bytes) -> None:
    lab.objects.served = served

    with pytest.raises(HyopsError):
        lab.seeder().seed(lab.request())
    assert lab.mutations() == 0


def test_a_source_in_clear_is_refused(lab: Lab) -> None:
    with pytest.raises(Refused, match="https only"):
        lab.seeder().seed(lab.request(url=lab.objects.url.replace("https", "http")))


def test_an_image_that_is_gone_is_missing_not_unknown(lab: Lab) -> None:
    with pytest.raises(MissingImage, match="424242"):
        lab.seeder().audit("424242")


# Wrong bytes


def test_other_bytes_of_the_same_length_are_refused_and_nothing_is_left(lab: Lab) -> None:
    lab.objects.served = b"x" * len(PACKED)

    with pytest.raises(WrongSource, match="arrives with sha256"):
        lab.seeder().seed(lab.request())
    assert (lab.snapshots(), lab.leftovers()) == ([], [])


def test_a_source_that_ends_early_without_saying_so_is_refused(lab: Lab) -> None:
    lab.objects.served, lab.objects.chunked = PACKED[: len(PACKED) // 2], True

    with pytest.raises(WrongSource, match="arrives with sha256"):
        lab.seeder().seed(lab.request())
    assert (lab.snapshots(), lab.leftovers()) == ([], [])


def test_a_variant_that_decodes_to_another_disk_never_becomes_a_snapshot(lab: Lab) -> None:
    record = make_record(disk=DISK[:-1] + b"?")

    with pytest.raises(ReadbackMismatch, match=record.disk.sha256):
        lab.seeder().seed(lab.request(record))
    assert (lab.snapshots(), lab.leftovers()) == ([], [])


def test_a_disk_that_discarding_leaves_dirty_is_caught_and_written_with_its_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hetzner_lab(tmp_path, monkeypatch, discard_zeroes=False) as lab:
        image = lab.seeder().seed(lab.request())

        assert lab.objects.hits == 3, "looked at, fetched sparsely, fetched again"
        assert_seeded(lab, image)


def test_a_private_record_is_sent_over_ssh(lab: Lab, tmp_path: Path) -> None:
    packed = tmp_path / "private.raw.xz"
    packed.write_bytes(PACKED)

    image = lab.seeder().seed(lab.request(url=packed.as_uri()))

    assert image.transport_sha256 == make_record().variants["raw.xz"].sha256
    assert lab.objects.hits == 0
    assert_seeded(lab, image)


# What people did by hand


def test_a_snapshot_that_was_deleted_by_hand_is_made_again(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request())
    lab.standin.project.contents.images.pop(int(first.image_ref))

    image = lab.seeder().seed(lab.request())

    assert image.outcome == "created"
    assert_seeded(lab, image)


@pytest.mark.parametrize("label", ["hyops_managed_by", "hyops_image_version", "hyops_disk_sha256_lo", "hyops_state"])
def test_a_snapshot_that_was_relabelled_by_hand_has_no_owner_and_is_left_alone(lab: Lab, label: str) -> None:
    first = lab.seeder().seed(lab.request())
    lab.snapshots()[0].labels[label] = "changed"

    image = lab.seeder().seed(lab.request())

    assert (image.outcome, image.others) == ("created", (first.image_ref,))
    assert {str(snapshot.id) for snapshot in lab.snapshots()} == {first.image_ref, image.image_ref}


def test_another_owner_s_key_of_our_name_is_left_alone(lab: Lab) -> None:
    name = seeder_name(lab.request())
    key = lab.client().create_key(name, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJh", {"owner": "another"})

    with pytest.raises(Occupied, match="was not made by a seed") as caught:
        lab.seeder().seed(lab.request())

    assert "rename or delete it" in caught.value.hint
    assert list(lab.standin.project.contents.keys) == [key.id]


def test_another_hosts_run_is_left_in_peace_until_its_time_is_over(lab: Lab) -> None:
    Child(lab, lab.request(run_id="elsewhere"), at="rescue").go().wait()

    with pytest.raises(SeedBusy, match="run elsewhere's"):
        lab.seeder(is_live=lambda run: None).seed(lab.request())
    assert lab.leftovers() == [seeder_name(lab.request())] * 2

    later = time.time() + QUICK.lifetime + TOLERANCE + 5
    image = lab.seeder(is_live=lambda run: None, clock=lambda: later).seed(lab.request())
    assert_seeded(lab, image)


# What was asked for and is not so


def test_a_snapshot_that_was_named_is_adopted_by_id_and_by_description_and_no_other_is(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request())
    before = lab.mutations()

    for name in (first.image_ref, first.description):
        assert lab.seeder().seed(lab.request(), PaidSnapshot(image_ref=name)).outcome == "adopted"
    with pytest.raises(NotThatSnapshot, match="424242"):
        lab.seeder().seed(lab.request(), PaidSnapshot(image_ref="424242"))
    assert lab.mutations() == before


@pytest.mark.parametrize("options", [PaidSnapshot(seed_if_missing=False), PaidSnapshot(image_ref="424242")])
def test_what_is_not_to_be_made_is_missing(lab: Lab, options: PaidSnapshot) -> None:
    with pytest.raises(MissingImage):
        lab.seeder().seed(lab.request(), options)
    assert lab.mutations() == 0


def test_a_quota_of_servers_is_said_in_hetzners_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, server_limit=0) as lab:
        with pytest.raises(LimitReached, match="server limit exceeded"):
            lab.seeder().seed(lab.request())
        assert lab.leftovers() == []


def test_a_seed_says_what_it_cost_and_an_adoption_that_it_cost_nothing(lab: Lab) -> None:
    made = lab.seeder().seed(lab.request())
    found = lab.seeder().seed(lab.request())

    assert (made.cost.server_hours, made.cost.server_eur) == (1, 0.0056)
    assert (found.cost.server_hours, found.cost.server_eur) == (0, 0.0)
    assert made.cost.snapshot_gb == found.cost.snapshot_gb
    assert made.bytes_sent == len(PACKED)
    assert found.bytes_sent == 0
