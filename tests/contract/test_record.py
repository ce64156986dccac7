import json

import pytest
from pydantic import ValidationError

from hyops_assets.contract.canonical import canonical_json, digest_of
from hyops_assets.contract.record import Record
from tests.contract.samples import record, sha256

PINNED = "93e85e733eff2792e322eb21c1b615d113dc32794664cc7edae6ddf457f33385"


def test_the_identity_of_a_record_is_pinned() -> None:
    """A changed serialisation would give every published record another digest."""
    assert record().digest == PINNED


def test_canonical_json_survives_a_round_trip() -> None:
    text = canonical_json(record())
    assert Record.model_validate_json(text) == record()
    assert canonical_json(json.loads(text)) == text


def test_another_disk_is_another_record() -> None:
    assert record(disk="one").digest != record(disk="two").digest


def test_a_lab_record_is_another_record() -> None:
    assert record(lab=True).digest != record().digest


def test_an_unknown_key_is_refused() -> None:
    content = json.loads(canonical_json(record())) | {"accelerator": "tcg"}
    with pytest.raises(ValidationError, match="accelerator"):
        Record.model_validate(content)


def test_a_variant_of_another_version_is_refused() -> None:
    """The source document's own example has an -r2 qcow2 beside a raw.xz without -r2: impossible here."""
    content = json.loads(canonical_json(record("2026.03.03-0027-rolling-r2")))
    content["variants"]["raw.xz"]["file_name"] = "vyos-1.5-2026.03.03-0027-rolling.raw.xz"
    with pytest.raises(ValidationError, match="is named"):
        Record.model_validate(content)


def test_a_registered_record_has_no_source_at_all() -> None:
    content = json.loads(canonical_json(record()))
    for key in ("iso_sha256", "overlay_lock_sha256", "helper_sha256"):
        content[key] = None
    assert Record.model_validate(content).iso_sha256 is None
    content["iso_sha256"] = sha256("iso")
    with pytest.raises(ValidationError, match="stand together"):
        Record.model_validate(content)


@pytest.mark.parametrize("size", [0, -512, 100, 511, (1 << 40) + 512, 512 * 10**30])
def test_a_disk_is_whole_sectors_and_no_larger_than_a_router_s(size: int) -> None:
    content = json.loads(canonical_json(record()))
    content["disk"]["size_bytes"] = size
    with pytest.raises(ValidationError):
        Record.model_validate(content)


def test_a_float_has_no_place_in_an_identity() -> None:
    with pytest.raises(TypeError, match="float"):
        digest_of({"seconds": [1.5]})
