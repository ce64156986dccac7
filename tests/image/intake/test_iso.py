from datetime import timedelta
from pathlib import Path

import pytest

from hyops_assets.contract.version import BadVersion, ReleaseLine, iso_file_name
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.intake import iso as intake
from hyops_assets.image.intake import sums, volume
from hyops_assets.image.intake.iso import SQUASHFS, BadIso, WrongIso, open_iso
from hyops_assets.image.intake.layout import UnknownLayout
from hyops_assets.image.intake.signature import verify
from hyops_assets.image.intake.trust import StaleSignature, WrongLine
from hyops_assets.image.squashfs import BadSquashfs
from hyops_assets.settings.signing_keys import SigningKey
from hyops_lab.iso_layout import built_at
from hyops_lab.miniature import Oddities, make_miniature
from hyops_lab.signing import LabKey
from tests.image.conftest import RELEASE
from tests.image.intake.conftest import mastered
from tests.killing import killed_at_each_line
from tests.processes import naming, outliving

pytestmark = pytest.mark.seconds


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
        (Oddities(version_json={"version": "2026\u200b.03"}), r"version\.json: expected .*, found '2026\\u200b\.03'"),
        (Oddities(files={"opt/vyatta/etc/version": b"nothing"}), "found no version"),
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


SCHEMES = [
    pytest.param("2026.03.03-0027-rolling", "rolling", id="rolling since 2025"),
    pytest.param("1.5-rolling-202410180006", "rolling", id="rolling until 2025"),
    pytest.param("1.5-stream-2025-Q1", "stream", id="Stream by quarter"),
    pytest.param("2025.11", "stream", id="Stream by month"),
    pytest.param("2026.03.1", "stream", id="Stream's second build of a month"),
]


@pytest.mark.parametrize(("release", "line"), SCHEMES)
def test_an_iso_of_every_scheme_is_taken_in(release: str, line: ReleaseLine, tmp_path: Path) -> None:
    key = LabKey.generate()
    made = make_miniature(tmp_path, release, key)
    trusted = SigningKey(name=line, public_key=key.public_key, line=line)
    facts = verify(made.iso, made.minisig, [trusted], file_name=iso_file_name(release), released_at=built_at(release))
    assert (facts.key_name, facts.file_name) == (line, made.iso.name)
    opened = open_iso(made.iso, release=release, scratch=tmp_path)
    assert opened.facts.version == opened.release == release


@pytest.mark.parametrize(("release", "line"), SCHEMES)
def test_the_key_of_the_other_line_signs_no_iso(release: str, line: str, tmp_path: Path) -> None:
    key = LabKey.generate()
    made = make_miniature(tmp_path, release, key)
    other = SigningKey(name="other", public_key=key.public_key, line="stream" if line == "rolling" else "rolling")
    with pytest.raises(WrongLine, match=f"is of the line {line}"):
        verify(made.iso, made.minisig, [other], file_name=iso_file_name(release))


def test_an_older_iso_of_another_scheme_does_not_pass_for_the_release(tmp_path: Path) -> None:
    key, old = LabKey.generate(), "1.5-rolling-202410180006"
    made = make_miniature(tmp_path, old, key)
    renamed = key.sign_file(made.iso, iso_file_name(RELEASE), built_at(old))
    with pytest.raises(StaleSignature, match="its name says"):
        verify(made.iso, renamed, [key.trusted_as("k")], file_name=iso_file_name(RELEASE))
    with pytest.raises(WrongIso, match=f"found {old}"):
        open_iso(made.iso, release=RELEASE, scratch=tmp_path)


@pytest.mark.parametrize("release", ["\uff12026.03.03-0027-rolling", "2026.03.03-0027-rolling\n", "", "latest"])
def test_an_iso_of_no_published_release_is_not_opened(release: str, iso: Path, tmp_path: Path) -> None:
    with pytest.raises(BadVersion):
        open_iso(iso, release=release, scratch=tmp_path)


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


@pytest.mark.parametrize(
    ("oddities", "error", "named"),
    [
        pytest.param(
            Oddities(files={"usr/zzdir/x": b"x"}, renamed={b"zzdir": b"../.."}),
            BadSquashfs,
            "is not usable",
            id="a name that climbs",
        ),
        pytest.param(
            Oddities(files={"usr/zzdir/x": b"x"}, renamed={b"zzdir": b"/etc/"}),
            BadSquashfs,
            "is not usable",
            id="a name with slashes",
        ),
        pytest.param(
            Oddities(files={"usr/zzdir/x": b"x"}, links={"usr/zzaaa": "/tmp"}, renamed={b"zzdir": b"zzaaa"}),
            BadSquashfs,
            "is not usable",
            id="a directory under the name of a link",
        ),
        pytest.param(
            Oddities(files={"usr/a\nb": b""}), BadSquashfs, "its listing has the line", id="a name of two lines"
        ),
        pytest.param(
            Oddities(
                files={"usr/share/vyos/version.json": None}, pseudo=["usr/share/vyos/version.json c 666 0 0 1 5"]
            ),
            BadIso,
            "it is a device, not a file",
            id="a device for a file",
        ),
        pytest.param(
            Oddities(files={"opt/vyatta/etc/version": None}, links={"opt/vyatta/etc/version": "version"}),
            BadIso,
            "circles",
            id="a link to itself",
        ),
        pytest.param(
            Oddities(links={"usr/share/vyos/version.json": "../../../../../../etc/absent-hostname"}),
            BadIso,
            "/etc/absent-hostname does not exist",
            id="a link out of the tree, which is followed inside it",
        ),
        pytest.param(
            Oddities(files={"usr/share/vyos/config.boot.default": None}), UnknownLayout, "config", id="unknown layout"
        ),
    ],
)
def test_a_hostile_squashfs_is_refused_and_nothing_of_it_is_left(
    oddities: Oddities, error: type[Exception], named: str, tmp_path: Path
) -> None:
    made = make_miniature(tmp_path / "made", RELEASE, LabKey.generate(), oddities=oddities)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(error, match=named) as refused:
        open_iso(made.iso, release=RELEASE, scratch=scratch)
    assert "next:" in str(refused.value)
    assert not list(scratch.iterdir())


class Cancelled(Exception):
    """What a caller raises to cancel."""


STAGES = ["take the ISO apart", "verify the ISO's files", "compare the versions", "find the layout"]


def test_every_stage_is_reported(iso: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    open_iso(iso, release=RELEASE, scratch=tmp_path, progress=lambda *step: seen.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == STAGES
    sums = [(done, total) for stage, done, total in seen if stage == "verify the ISO's files"]
    assert sums == sorted(sums)
    assert sums[-1][0] == sums[-1][1]


@pytest.mark.parametrize(
    ("stage", "times"), [(stage, times) for stage in STAGES for times in (1, 2) if times == 1 or stage in STAGES[:2]]
)
def test_a_cancellation_at_any_stage_leaves_nothing(stage: str, times: int, iso: Path, tmp_path: Path) -> None:
    calls: list[str] = []

    def cancel(at: str, _done: int, _total: int | None) -> None:
        calls.append(at)
        if calls.count(stage) == times:
            raise Cancelled

    with pytest.raises(Cancelled):
        open_iso(iso, release=RELEASE, scratch=tmp_path, progress=cancel)
    assert not list(tmp_path.iterdir())
    assert not naming(tmp_path)
    assert open_iso(iso, release=RELEASE, scratch=tmp_path).release == RELEASE


def test_a_run_killed_at_any_line_leaves_nothing_that_a_rerun_trips_over(iso: Path, tmp_path: Path) -> None:
    kills = 0
    for _ in killed_at_each_line(
        lambda: open_iso(iso, release=RELEASE, scratch=tmp_path), intake, volume, sums, every=19
    ):
        kills += 1
        assert not outliving(tmp_path)
    assert kills > 5
    assert open_iso(iso, release=RELEASE, scratch=tmp_path).squashfs.read("/opt/vyatta/etc/version")


def test_what_a_killed_run_left_is_replaced(iso: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "iso/live"
    leftover.mkdir(parents=True)
    (leftover / "filesystem.squashfs").write_bytes(b"half")
    (leftover / "unrelated").touch()
    for directory in (leftover, leftover.parent):
        directory.chmod(0o555)  # as xorriso leaves them; it hinders an ordinary user only
    opened = open_iso(iso, release=RELEASE, scratch=tmp_path)
    assert opened.squashfs.read("/opt/vyatta/etc/version")
    assert not (leftover / "unrelated").exists()


def test_a_signature_is_verified_against_the_hour_that_the_name_tells(iso: Path) -> None:
    key = LabKey.generate()
    late = key.sign_file(iso, iso.name, built_at(RELEASE) + timedelta(hours=49))
    with pytest.raises(StaleSignature, match=r"2026-03-03 00:27 UTC"):
        verify(iso, late, [key.trusted_as("k")], file_name=iso.name)
