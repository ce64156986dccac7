from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.image.signature import verify
from hyops_assets.lab.signing import BadLabKey, LabKey

SIGNED_AT = datetime(2026, 3, 3, tzinfo=UTC)


def test_a_kept_key_is_the_same_the_next_time_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "lab" / "signing.key"
    first = LabKey.kept_in(path)
    assert LabKey.kept_in(path).public_key == first.public_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.key"]


def test_what_a_kept_key_signed_verifies_after_a_restart(tmp_path: Path) -> None:
    iso = tmp_path / "x.iso"
    iso.write_bytes(b"iso")
    minisig = LabKey.kept_in(tmp_path / "key").sign_file(iso, "x.iso", SIGNED_AT)
    trusted = LabKey.kept_in(tmp_path / "key").trusted_as("lab")
    assert verify(iso, minisig, [trusted], file_name="x.iso").lab


def test_the_same_file_at_the_same_time_has_one_signature(tmp_path: Path) -> None:
    iso = tmp_path / "x.iso"
    iso.write_bytes(b"iso")
    key = LabKey.generate()
    assert key.sign_file(iso, "x.iso", SIGNED_AT) == key.sign_file(iso, "x.iso", SIGNED_AT)


def test_every_lab_has_a_key_of_its_own() -> None:
    assert LabKey.generate().public_key != LabKey.generate().public_key


def test_a_file_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")
    with pytest.raises(BadLabKey, match="no lab key"):
        LabKey.kept_in(path)


def test_the_private_half_shows_in_no_repr() -> None:
    assert "_private" not in repr(LabKey.generate())
