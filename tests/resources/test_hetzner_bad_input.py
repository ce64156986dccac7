from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError, Refused
from resources.hetzner.errors import (
    LimitReached,
    MissingImage,
    ReadbackMismatch,
    WrongSource,
)
from tests.hetzner_lab import DISK, PACKED, Lab, hetzner_lab, make_record
from tests.hetzner_scene import assert_seeded


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

        with pytest.raises(LimitReached, match="1 snapshots of 1"):
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
