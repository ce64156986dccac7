import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.image.budget import OverBudget
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.intake.signature import TooLarge, verify
from hyops_assets.image.intake.volume import BadIso, require_whole
from hyops_assets.image.space import NoSpace
from hyops_lab.iso_layout import built_at
from hyops_lab.signing import LabKey
from tests.full_disk import file_size_limit
from tests.image.conftest import RELEASE
from tests.image.intake.conftest import mastered


@pytest.mark.parametrize("content", [bytes(1 << 20), b"no ISO" * 100_000, b""])
def test_a_file_that_is_no_iso_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(content)
    with pytest.raises(BadIso, match=rf"x\.iso is not an ISO 9660 image \({len(content)} bytes\)"):
        open_iso(tmp_path / "x.iso", release=RELEASE, scratch=tmp_path)


@pytest.mark.parametrize("begins_as_iso", [False, True])
def test_a_file_of_a_hundred_gigabytes_is_refused_unread(begins_as_iso: bool, iso: Path, tmp_path: Path) -> None:
    huge = tmp_path / "x.iso"
    huge.write_bytes(iso.read_bytes() if begins_as_iso else b"")
    os.truncate(huge, 100 << 30)
    seen: list[str] = []
    with pytest.raises(BadIso, match=str(100 << 30)):
        open_iso(huge, release=RELEASE, scratch=tmp_path, progress=lambda *step: seen.append(step[0]))
    key = LabKey.generate()
    minisig = key.sign_file(iso, huge.name, built_at(RELEASE))
    with pytest.raises(TooLarge, match=r"raise feed\.max_iso_bytes"):
        verify(huge, minisig, [key.trusted_as("k")], file_name=huge.name, progress=lambda *step: seen.append(step[0]))
    assert seen == []


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.999])
def test_a_truncated_iso_is_refused_with_both_sizes(kept: float, iso: Path, tmp_path: Path) -> None:
    size = int(iso.stat().st_size * kept)
    shutil.copyfile(iso, tmp_path / "x.iso")
    os.truncate(tmp_path / "x.iso", size)
    with pytest.raises(BadIso, match=rf"x\.iso is cut short: {size} of the \d+ bytes"):
        open_iso(tmp_path / "x.iso", release=RELEASE, scratch=tmp_path)


@pytest.mark.parametrize("place", ["nothing there", "a directory", "a fifo"])
def test_what_is_no_file_is_refused(place: str, tmp_path: Path) -> None:
    path = tmp_path / "x.iso"
    if place == "a directory":
        path.mkdir()
    elif place == "a fifo":
        os.mkfifo(path)
    with pytest.raises(BadIso, match=r"x\.iso"):
        open_iso(path, release=RELEASE, scratch=tmp_path)


@pytest.mark.seconds
def test_no_room_to_extract_is_not_taken_for_a_damaged_iso(iso: Path, tmp_path: Path) -> None:
    with file_size_limit(1 << 20), pytest.raises(NoSpace, match="no space left at"):
        open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("live/out", "/etc/passwd"),
        ("live/out", "../../etc/passwd"),
        ("out", ".."),
        ("zz", "live/up/.."),  # through the harmless link below
    ],
)
def test_a_link_that_leaves_the_iso_is_refused(name: str, target: str, root: Path, tmp_path: Path) -> None:
    (root / "live/up").symlink_to("..")
    (root / name).symlink_to(target)
    with pytest.raises(BadIso, match=f"the link '{name}' to '{target}', which leaves it"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)
    assert not (tmp_path / "iso").exists()


@pytest.mark.seconds
def test_a_directory_that_is_a_link_elsewhere_gives_no_squashfs(root: Path, tmp_path: Path) -> None:
    (root / "live").rename(tmp_path / "elsewhere")
    (root / "live").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadIso, match="leaves it"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)
    assert (tmp_path / "elsewhere/filesystem.squashfs").exists()


def test_a_link_that_stays_inside_is_borne(root: Path, tmp_path: Path) -> None:
    (root / "debian").symlink_to(".")
    (root / "live/kernel").symlink_to("../live/vmlinuz")
    assert open_iso(mastered(root), release=RELEASE, scratch=tmp_path).release == RELEASE


@pytest.mark.seconds
def test_an_iso_whose_files_lie_in_one_place_does_not_fill_the_disk(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/0").write_bytes(bytes(8 << 20))
    for number in range(1, 7):
        os.link(tmp_path / "root/0", tmp_path / f"root/{number}")
    iso = mastered(tmp_path / "root")
    assert iso.stat().st_size < 16 << 20
    with pytest.raises(OverBudget, match=r"what root\.iso holds takes more than the 2 times its own"):
        open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert not (tmp_path / "iso").exists()


def test_an_iso_that_holds_a_fifo_or_a_device_is_refused(root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "live/pipe")
    with pytest.raises(BadIso, match="'live/pipe', which is no file: p"):
        open_iso(mastered(root), release=RELEASE, scratch=tmp_path)
    assert not (tmp_path / "iso").exists()


@settings(max_examples=200, deadline=None)
@given(
    head=st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda rest: b"\x01CD001\x01\x00" + rest)),
    behind=st.integers(0, 1 << 40),
)
def test_any_bytes_are_a_whole_volume_or_a_typed_refusal(head: bytes, behind: int, tmp_path: Path) -> None:
    path = tmp_path / "x.iso"
    path.write_bytes(bytes(16 * 2048) + head)
    os.truncate(path, path.stat().st_size + behind)
    with suppress(BadIso):
        assert require_whole(path) == path.stat().st_size
