import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.intake.iso import SQUASHFS, BadIso, WrongIso, open_iso
from hyops_assets.image.programs import run
from hyops_assets.image.space import NoSpace
from hyops_assets.lab.miniature import Oddities, make_miniature
from hyops_assets.lab.signing import LabKey
from tests.image.conftest import RELEASE, Workshop, file_size_limit


@pytest.fixture
def iso(workshop: Workshop) -> Path:
    return workshop.iso.iso


@pytest.fixture
def root(iso: Path, tmp_path: Path) -> Iterator[Path]:
    """The ISO's files, to be changed and mastered again."""
    root = tmp_path / "root"
    run(["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", root])
    run(["chmod", "-R", "u+w", root])
    yield root
    shutil.rmtree(root)


def mastered(root: Path) -> Path:
    iso = root.with_suffix(".iso")
    run(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-r", "-V", "VyOS", "-o", iso, root])
    return iso


def test_a_sound_iso_opens(iso: Path, tmp_path: Path) -> None:
    opened = open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert opened.facts.version == RELEASE
    assert opened.facts.built_at is not None
    assert opened.squashfs_sha256 == sha256_of_file(opened.squashfs.path)
    assert opened.squashfs.read("/opt/vyatta/etc/version") == f"Version: {RELEASE}\n".encode()


def test_everything_built_from_an_iso_is_dated_by_its_squashfs(iso: Path, tmp_path: Path) -> None:
    facts = open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert facts.facts.built_at is not None
    assert facts.epoch == facts.facts.built_at.timestamp()


def test_what_was_extracted_can_be_removed_by_its_user(iso: Path, tmp_path: Path) -> None:
    open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert all(path.stat().st_mode & 0o200 for path in (tmp_path / "iso").rglob("*"))


def test_another_release_is_refused_naming_all_that_differs(iso: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongIso) as refused:
        open_iso(iso, release="2026.03.09-0027-rolling", scratch=tmp_path)
    for what in ("version.json", "/usr/share/vyos/version.json", "/opt/vyatta/etc/version", "built_on"):
        assert what in refused.value.message
    assert f"found {RELEASE}" in refused.value.message


@pytest.mark.parametrize(
    ("oddities", "named"),
    [
        (Oddities(version_json={"flavor": "aws"}), "flavor: expected generic, found aws"),
        (Oddities(version_json={"architecture": "arm64"}), "architecture: expected amd64, found arm64"),
        (Oddities(version_json={"version": "2026.03"}), f"version.json: expected {RELEASE}, found 2026.03"),
        (Oddities(version_json={"built_on": "Mon 01 Jan 2024 00:00 UTC"}), "built_on: expected within a day"),
        (Oddities(installed_version="1.4.0"), f"/opt/vyatta/etc/version: expected {RELEASE}, found 1.4.0"),
    ],
)
def test_an_iso_that_disagrees_is_refused(oddities: Oddities, named: str, tmp_path: Path) -> None:
    odd = make_miniature(tmp_path, RELEASE, LabKey.generate(), oddities=oddities)
    with pytest.raises(WrongIso, match=named):
        open_iso(odd.iso, release=RELEASE, scratch=tmp_path)


def test_a_build_time_in_an_unknown_form_is_no_mismatch(tmp_path: Path) -> None:
    odd = make_miniature(
        tmp_path, RELEASE, LabKey.generate(), oddities=Oddities(version_json={"built_on": "2026-03-03T00:27"})
    )
    assert open_iso(odd.iso, release=RELEASE, scratch=tmp_path).facts.built_at is None


def test_a_tampered_squashfs_is_refused_with_both_digests(root: Path, tmp_path: Path) -> None:
    squashfs = root / SQUASHFS
    expected = sha256_of_file(squashfs)
    with squashfs.open("r+b") as file:
        file.seek(1000)
        file.write(b"tampered")
    with pytest.raises(BadIso, match=f"expected {expected}, found {sha256_of_file(squashfs)}"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)


def test_every_damaged_file_is_named(root: Path, tmp_path: Path) -> None:
    (root / "live/vmlinuz").write_bytes(b"")
    (root / "live/initrd.img").unlink()
    with pytest.raises(BadIso) as refused:
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)
    assert "live/vmlinuz: expected" in refused.value.message
    assert "live/initrd.img" in refused.value.message
    assert "found no such file" in refused.value.message


def test_an_iso_without_sums_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "sha256sum.txt").unlink()
    with pytest.raises(BadIso, match=r"carries no sha256sum\.txt"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)


def test_an_unlisted_squashfs_is_refused(root: Path, tmp_path: Path) -> None:
    sums = root / "sha256sum.txt"
    sums.write_text("".join(line for line in sums.read_text().splitlines(keepends=True) if SQUASHFS not in line))
    with pytest.raises(BadIso, match=f"does not list {SQUASHFS}"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)


@pytest.mark.parametrize("line", ["0" * 64 + "  ../../etc/passwd", "0" * 64 + "  /etc/passwd", "no sum at all"])
def test_a_sum_for_a_file_outside_is_refused(line: str, root: Path, tmp_path: Path) -> None:
    sums = root / "sha256sum.txt"
    sums.write_text(f"{sums.read_text()}{line}\n")
    with pytest.raises(BadIso, match="has the line"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)


def test_a_symlink_in_place_of_a_listed_file_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "live/vmlinuz").unlink()
    (root / "live/vmlinuz").symlink_to("initrd.img")
    with pytest.raises(BadIso, match=r"live/vmlinuz: .*no such file"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)


def test_an_iso_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/readme").write_text("hello\n")
    with pytest.raises(BadIso):
        open_iso(mastered(tmp_path / "root"), release=RELEASE, scratch=tmp_path)


@pytest.mark.parametrize("content", [bytes(1 << 20), b"no ISO" * 100_000, b""])
def test_a_file_that_is_no_iso_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(content)
    with pytest.raises(BadIso, match=r"x\.iso is not an ISO 9660 image"):
        open_iso(tmp_path / "x.iso", release=RELEASE, scratch=tmp_path)


def test_a_truncated_iso_is_refused(iso: Path, tmp_path: Path) -> None:
    shutil.copyfile(iso, tmp_path / "x.iso")
    os.truncate(tmp_path / "x.iso", iso.stat().st_size // 2)
    with pytest.raises(BadIso, match=r"x\.iso"):
        open_iso(tmp_path / "x.iso", release=RELEASE, scratch=tmp_path)


def test_no_room_to_extract_is_not_taken_for_a_damaged_iso(iso: Path, tmp_path: Path) -> None:
    with file_size_limit(1 << 20), pytest.raises(NoSpace, match="no space left at"):
        open_iso(iso, release=RELEASE, scratch=tmp_path)
