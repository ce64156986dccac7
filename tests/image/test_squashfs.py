import hashlib
import os
from pathlib import Path

import pytest

from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import BadSquashfs, Member, MissingMember, Squashfs


def make_squashfs(root: Path, *options: str) -> Squashfs:
    """Pack a directory, owners replaced by root's."""
    image = root.with_suffix(".squashfs")
    run(
        [
            "mksquashfs",
            root,
            image,
            "-noappend",
            "-quiet",
            "-no-progress",
            "-force-uid",
            "0",
            "-force-gid",
            "0",
            *options,
        ]
    )
    return Squashfs(image)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/lib/deep").mkdir(parents=True)
    (root / "etc").mkdir(mode=0o755)
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "usr/lib/os-release").write_text("ID=vyos\n")
    (root / "usr/lib/deep/absolute").symlink_to("/etc/os-release")
    return root


def test_members_carry_kind_mode_owner_and_target(root: Path) -> None:
    (root / "etc/sudo").write_bytes(b"123")
    (root / "etc/sudo").chmod(0o4755)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    members = make_squashfs(root, "-p", "dev c 600 0 5 5 1", "-p", "var d 2775 0 104").members()
    assert members["/"].kind == "directory"
    assert members["/etc/sudo"] == Member("file", 0o4755, 0, 0, 3)
    assert members["/tmp"].mode == 0o1777
    assert members["/lib"] == Member("symlink", 0o777, 0, 0, 7, "usr/lib")
    assert members["/dev"].kind == "device"
    assert members["/var"].mode == 0o2775


def test_names_with_blanks_and_arrows_are_read_as_they_are(root: Path) -> None:
    (root / "etc/a -> b").write_text("odd")
    (root / "etc/link").symlink_to("x -> y")
    image = make_squashfs(root)
    assert image.members()["/etc/link"].target == "x -> y"
    assert image.read("/etc/a -> b") == b"odd"


def test_wildcards_in_a_path_match_nothing_but_themselves(root: Path) -> None:
    (root / "etc/[a]").write_text("brackets")
    (root / "etc/a").write_text("a")
    image = make_squashfs(root)
    assert image.read("/etc/[a]") == b"brackets"
    with pytest.raises(MissingMember):
        image.read("/etc/*")


def test_symlinks_are_followed_inside_the_image_only(root: Path) -> None:
    (root / "etc/out").symlink_to("../../../../usr/lib/os-release")
    image = make_squashfs(root)
    assert image.resolve("/lib/deep/absolute") == "/usr/lib/os-release"
    assert image.resolve("etc/out") == "/usr/lib/os-release"
    assert image.read("/lib/os-release") == b"ID=vyos\n"
    assert not image.exists("/lib/os-release")


def test_a_missing_member_is_named(root: Path) -> None:
    image = make_squashfs(root)
    for path in ("/etc/nothing", "/etc/os-release/below"):
        with pytest.raises(MissingMember, match=path):
            image.read(path)
    with pytest.raises(MissingMember, match="not a file"):
        image.read("/usr")


def test_symlinks_in_a_circle_are_an_error(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    with pytest.raises(MissingMember, match="circles"):
        make_squashfs(root).resolve("/a")


def test_an_extraction_is_complete_or_absent(root: Path, tmp_path: Path) -> None:
    image = make_squashfs(root)
    out = tmp_path / "out"
    out.mkdir()
    image.extract(["/usr", "lib"], out)
    assert (out / "usr/lib/os-release").read_text() == "ID=vyos\n"
    assert (out / "lib").readlink() == Path("usr/lib")
    assert not (out / "etc").exists()
    with pytest.raises(MissingMember):
        image.extract(["/usr", "/nothing"], tmp_path / "second")
    assert not (tmp_path / "second").exists()
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_an_extraction_never_leaves_its_destination(root: Path, tmp_path: Path) -> None:
    image = make_squashfs(root)
    with pytest.raises(BadSquashfs, match="leaves the image"):
        image.extract(["../etc"], tmp_path / "out")


def test_devices_are_never_extracted(root: Path, tmp_path: Path) -> None:
    image = make_squashfs(root, "-p", "dev d 755 0 0", "-p", "dev/console c 600 0 5 5 1")
    with pytest.raises(BadSquashfs, match="/dev/console"):
        image.extract(["/dev"], tmp_path / "out")


def test_a_member_that_climbs_out_is_refused(root: Path) -> None:
    (root / "zz").mkdir()
    image = make_squashfs(root, "-noI", "-noD", "-noF")
    content = image.path.read_bytes()
    assert content.count(b"zz") == 1
    image.path.write_bytes(content.replace(b"zz", b".."))
    with pytest.raises(BadSquashfs):
        image.members()


def test_a_file_name_cannot_forge_a_line_of_the_listing(root: Path) -> None:
    forged = "x\n-rwsr-xr-x 0/0 3 2026-01-01 00:00 squashfs-root"
    (root / forged).parent.mkdir()
    (root / forged).write_text("")
    with pytest.raises(BadSquashfs):
        make_squashfs(root).members()


def test_what_is_no_squashfs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(4096))
    with pytest.raises(BadSquashfs, match="noise"):
        Squashfs(tmp_path / "noise").members()


def test_the_digest_is_of_the_file_itself(root: Path) -> None:
    image = make_squashfs(root)
    assert image.sha256() == hashlib.sha256(image.path.read_bytes()).hexdigest()
