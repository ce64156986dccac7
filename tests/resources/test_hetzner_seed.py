from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hetzner_lab import DISK, PACKED, Lab, hetzner_lab, make_record


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


def test_a_seed_writes_the_record_to_one_ready_protected_snapshot(lab: Lab) -> None:
    record = make_record()

    image = lab.seeder().seed(lab.request(record))

    assert image.outcome == "created"
    assert image.description == "hyops-vyos-1.5-2026.03.03-0027-rolling"
    assert image.readback_sha256 == record.disk.sha256
    assert image.transport_sha256 == record.variants["raw.xz"].sha256
    assert image.bytes_written == len(DISK)
    assert lab.disk_of(image.image_ref) == DISK
    facts = lab.seeder().audit(image.image_ref)
    assert facts.status == "available"
    assert facts.protected
    assert facts.labels is not None
    assert facts.labels.state == "ready"
    assert facts.labels.of_record(record)
    assert lab.leftovers() == []


def test_a_second_seed_adopts_without_a_mutating_call(lab: Lab) -> None:
    first = lab.seeder().seed(lab.request(run_id="run-1"))
    before = lab.mutations(), lab.objects.hits

    second = lab.seeder().seed(lab.request(run_id="run-2"))

    assert second.outcome == "adopted"
    assert second.image_ref == first.image_ref
    assert (lab.mutations(), lab.objects.hits) == before
    assert second.transport_sha256 is None
    assert len(PACKED) > 1 << 20
