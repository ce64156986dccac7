from datetime import date
from pathlib import Path

import pytest

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_assets.settings.signing_keys import SigningKey
from hyops_lab.grub_modules import PLATFORMS, grub_modules
from hyops_lab.iso_layout import built_at
from hyops_lab.miniature import MadeIso, Oddities, make_miniature
from hyops_lab.signing import LabKey

RELEASE = "2026.03.03-0027-rolling"


@pytest.fixture(scope="module")
def key() -> LabKey:
    return LabKey.generate()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, key: LabKey) -> MadeIso:
    return make_miniature(tmp_path_factory.mktemp("made"), RELEASE, key)


def test_it_has_the_name_under_which_vyos_publishes(made: MadeIso) -> None:
    assert made.iso.name == "vyos-2026.03.03-0027-rolling-generic-amd64.iso"


def test_the_same_release_gives_the_same_bytes(made: MadeIso, tmp_path: Path, key: LabKey) -> None:
    assert sha256_of_file(make_miniature(tmp_path / "else where", RELEASE, key).iso) == sha256_of_file(made.iso)


def test_another_release_gives_other_bytes(made: MadeIso, tmp_path: Path, key: LabKey) -> None:
    assert sha256_of_file(make_miniature(tmp_path, "2026.03", key).iso) != sha256_of_file(made.iso)


def test_its_volume_is_named_vyos(made: MadeIso) -> None:
    with made.iso.open("rb") as file:
        file.seek(16 * 2048 + 40)
        assert file.read(32).strip() == b"VyOS"


def test_the_minisign_program_accepts_its_signature(made: MadeIso, key: LabKey) -> None:
    trusted: SigningKey = key.trusted_as("lab")
    answer = run(["minisign", "-V", "-P", trusted.public_key, "-m", made.iso, "-x", made.minisig])
    assert f"file:{made.iso.name}" in answer.text
    assert built_at(RELEASE).date() == date(2026, 3, 3)


def test_a_payload_makes_it_larger(made: MadeIso, tmp_path: Path, key: LabKey) -> None:
    large = make_miniature(tmp_path, RELEASE, key, oddities=Oddities(payload_bytes=3 << 20))
    assert large.iso.stat().st_size - made.iso.stat().st_size > 2 << 20


def test_nothing_but_the_iso_and_its_signature_is_left(made: MadeIso) -> None:
    assert sorted(made.iso.parent.iterdir()) == [made.iso, made.minisig]


def test_grub_modules_are_kept_for_the_next_time(tmp_path: Path) -> None:
    first = grub_modules(tmp_path)
    assert all((first / platform / "modinfo.sh").exists() for platform in PLATFORMS)
    before = first.stat().st_mtime_ns
    assert grub_modules(tmp_path) == first
    assert first.stat().st_mtime_ns == before
