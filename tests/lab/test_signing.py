from datetime import UTC, datetime
from pathlib import Path

from hyops_assets.image.intake.signature import verify
from hyops_lab.signing import LabKey

SIGNED_AT = datetime(2026, 3, 3, tzinfo=UTC)


def test_what_a_key_signed_verifies_with_its_public_half_alone(tmp_path: Path) -> None:
    iso = tmp_path / "x.iso"
    iso.write_bytes(b"iso")
    key = LabKey.generate()
    assert verify(iso, key.sign_file(iso, "x.iso", SIGNED_AT), [key.trusted_as("lab")], file_name="x.iso").lab


def test_the_same_file_at_the_same_time_has_one_signature(tmp_path: Path) -> None:
    iso = tmp_path / "x.iso"
    iso.write_bytes(b"iso")
    key = LabKey.generate()
    assert key.sign_file(iso, "x.iso", SIGNED_AT) == key.sign_file(iso, "x.iso", SIGNED_AT)


def test_every_lab_has_a_key_of_its_own() -> None:
    assert LabKey.generate().public_key != LabKey.generate().public_key


def test_the_private_half_shows_in_no_repr() -> None:
    assert "_private" not in repr(LabKey.generate())
