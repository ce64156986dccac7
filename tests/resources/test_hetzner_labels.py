from dataclasses import replace

import pytest

from hyops_assets.contract.seeding import SeedRequest
from resources.sites.hetzner.labels import BadLabel, Labels, description_of, image_selector
from tests.hetzner_lab import make_record


def labels(run_id: str = "run") -> Labels:
    request = SeedRequest(record=make_record(), url="https://x", run_id=run_id, site="lab")
    return Labels.of(request, role="image", expires=1_800_000_000)


def test_what_is_written_is_what_is_read() -> None:
    assert Labels.parse(labels().written()) == labels()
    assert Labels.parse(labels().ready().written()) == labels().ready()


def test_a_digest_of_64_digits_stands_in_two_labels() -> None:
    written = labels().written()

    assert written["hyops_disk_sha256_hi"] + written["hyops_disk_sha256_lo"] == make_record().disk.sha256
    assert max(map(len, written.values())) <= 63


@pytest.mark.parametrize("missing", ["hyops_managed_by", "hyops_record_lo", "hyops_seed_id", "hyops_state"])
def test_half_a_set_is_not_ours(missing: str) -> None:
    written = labels().written()
    del written[missing]

    assert Labels.parse(written) is None


def test_a_run_id_that_hetzner_takes_no_label_of_is_refused() -> None:
    with pytest.raises(BadLabel, match="hyops_run_id"):
        labels("https://not/a/label").written()


def test_an_image_of_another_record_of_the_same_disk_is_another_image() -> None:
    record = make_record()

    assert labels().of_record(record)
    assert not replace(labels(), version="2026.03.03-0027-rolling-r2").of_record(record)
    assert not replace(labels(), record_digest="0" * 64).of_record(record)


def test_the_selector_names_disk_and_record_whole() -> None:
    record = make_record()
    terms = dict(term.split("=") for term in image_selector(record).split(","))

    assert terms["hyops_disk_sha256_hi"] + terms["hyops_disk_sha256_lo"] == record.disk.sha256
    assert terms["hyops_record_hi"] + terms["hyops_record_lo"] == record.digest


def test_the_description_is_what_hybridops_looks_for() -> None:
    assert description_of(make_record()) == "hyops-vyos-1.5-2026.03.03-0027-rolling"
