import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.image.bounded import lines_of
from hyops_assets.image.budget import Budget, OverBudget
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import (
    MAX_READ_BYTES,
    BadSquashfs,
    Member,
    MissingMember,
    Squashfs,
    parse_listing,
)


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


@pytest.mark.parametrize("other", [b"../..", b"a/../", b"/etc/", b"zz\0ir", b"zzlnk"])
def test_a_name_that_no_file_system_has_is_refused(other: bytes, root: Path) -> None:
    (root / "zzdir").mkdir()
    (root / "zzdir/x").write_text("x")
    (root / "zzlnk").symlink_to("/tmp")
    image = make_squashfs(root, "-noI", "-noD", "-noF")
    content = image.path.read_bytes()
    assert content.count(b"zzdir") == 1
    image.path.write_bytes(content.replace(b"zzdir", other))
    with pytest.raises(BadSquashfs, match="next: fetch the ISO again"):
        image.members()
    with pytest.raises(BadSquashfs):
        image.extract(["/zzlnk"], root.with_name("out"))
    assert not root.with_name("out").exists()


def test_a_file_too_large_to_be_held_is_not_read(root: Path) -> None:
    (root / "etc/bomb").touch()
    os.truncate(root / "etc/bomb", MAX_READ_BYTES + 1)
    with pytest.raises(BadSquashfs, match=f"/etc/bomb has {MAX_READ_BYTES + 1} bytes"):
        make_squashfs(root).read("/etc/bomb")


@pytest.mark.parametrize("keep", [0, 50, 96, 0.5, 0.99])
def test_a_truncated_squashfs_is_refused(keep: float, root: Path) -> None:
    (root / "etc/noise").write_bytes(os.urandom(1 << 20))
    image = make_squashfs(root)
    os.truncate(image.path, int(image.path.stat().st_size * keep if keep < 1 else keep))
    with pytest.raises(BadSquashfs):
        image.members()


LINE = "drwxr-xr-x 0/0 27 2026-03-03 00:27 P"
STANDS_BELOW = "stands below what is no directory"


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        pytest.param([], "is empty", id="nothing"),
        pytest.param([f"{LINE}/etc"], STANDS_BELOW, id="no root"),
        pytest.param([LINE.replace("drwx", "-rwx"), f"{LINE}/etc"], STANDS_BELOW, id="a root that is a file"),
        pytest.param([LINE, f"{LINE}/a/b"], STANDS_BELOW, id="an orphan"),
        pytest.param([LINE, LINE], "listed twice", id="twice"),
        pytest.param([LINE, f"{LINE}/.."], "leaves the tree", id="the parent"),
        pytest.param([LINE, f"{LINE}//etc"], "leaves the tree", id="an empty name"),
        pytest.param([LINE, f"{LINE}/./etc"], "leaves the tree", id="a dot"),
        pytest.param([LINE, f"{LINE}etc"], "has the line", id="beside the root"),
        pytest.param([LINE, "x"], "has the line 'x'", id="another form"),
        pytest.param([LINE, LINE.replace(" 27 ", f" {'9' * 5000} ") + "/a"], "has the line", id="an endless number"),
        pytest.param([LINE, LINE.replace(" 27 ", " \u0662 ") + "/a"], "has the line", id="a digit of another script"),
        pytest.param(
            [LINE, "lrwxrwxrwx 0/0 9 2026-03-03 00:27 P/a -> b"], "no target of 9 bytes", id="a longer target"
        ),
        pytest.param([LINE, "lrwxrwxrwx 0/0 0 2026-03-03 00:27 P/a"], "no target of 0 bytes", id="no target"),
        pytest.param([LINE, "lrwxrwxrwx 0/0 99 2026-03-03 00:27 P"], "no target of 99 bytes", id="a nameless link"),
        pytest.param([LINE, f"{LINE}/{'n' * 256}"], "longer name than a file can have", id="a long name"),
        pytest.param([LINE, f"{LINE}/{'é' * 128}"], "longer name than a file can have", id="a long name in UTF-8"),
        pytest.param([LINE, f"{LINE}{'/deep' * 900}"], "longer name than a file can have", id="a long path"),
        pytest.param([LINE, "lrwxrwxrwx 0/0 0 2026-03-03 00:27 P/a -> "], "text of 0 bytes", id="an empty link"),
        pytest.param(
            [LINE, f"lrwxrwxrwx 0/0 5000 2026-03-03 00:27 P/a -> {'t' * 5000}"], "text of 5000 bytes", id="a long link"
        ),
        pytest.param(
            [LINE, "lrwxrwxrwx 0/0 4 2026-03-03 00:27 P/a -> /tmp", f"{LINE}/a/b"], STANDS_BELOW, id="below a link"
        ),
    ],
)
def test_a_listing_that_no_file_system_can_have_is_refused(lines: list[str], named: str) -> None:
    with pytest.raises(BadSquashfs, match=named):
        parse_listing([line.encode() for line in lines], "P")


KINDS, NUMBERS, NAMES = st.sampled_from("dlbcps-x"), st.integers(-1, 10**21), st.text("abP/.\n -> \ud800é", max_size=8)
LINES = st.builds(
    lambda kind, size, name: f"{kind}rwxr-xr-x 0/0 {size} 2026-03-03 00:27 P{name}", KINDS, NUMBERS, NAMES
)


@pytest.mark.seconds
@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(LINES).map(lambda lines: "\n".join([LINE, *lines, ""]).encode("utf-8", "surrogatepass")),
    )
)
def test_any_bytes_are_a_listing_or_a_typed_refusal(listing: bytes) -> None:
    try:
        members = parse_listing(lines_of([listing], most_bytes=10_000), "P")
    except BadSquashfs:
        return
    assert members["/"].kind == "directory"
    assert not any(".." in Path(name).parts for name in members)


@pytest.mark.seconds
@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 400), change=st.binary(min_size=1, max_size=8))
def test_a_damaged_squashfs_is_listed_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: bytes
) -> None:
    root = tmp_path_factory.mktemp("damaged") / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/a").write_text("a")
    (root / "b").symlink_to("etc")
    image = make_squashfs(root, "-noI", "-noD", "-noF")
    content = bytearray(image.path.read_bytes())
    content[at : at + len(change)] = change
    image.path.write_bytes(content)
    try:
        image.members()
        image.read("/b/a")
    except (BadSquashfs, MissingMember):
        return


def test_a_listing_ends_with_the_budget_and_is_not_begun_again(root: Path) -> None:
    for number in range(500):
        os.link(root / "usr/lib/os-release", root / f"usr/lib/{number}")
    image = Squashfs(make_squashfs(root).path, Budget(entries=100))
    for _ in range(2):
        with pytest.raises(OverBudget, match=r"the listing of root\.squashfs takes more than the 100 entries"):
            image.members()
    assert len(make_squashfs(root, "-noI").members()) > 500


def test_what_is_extracted_is_paid_for_before_it_is_written(root: Path, tmp_path: Path) -> None:
    (root / "etc/bomb").touch()
    os.truncate(root / "etc/bomb", 64 << 20)
    image = make_squashfs(root)
    with pytest.raises(OverBudget, match=r"what is taken out of root\.squashfs"):
        Squashfs(image.path, Budget(size_bytes=32 << 20)).extract(["/etc"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_squashfs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(4096))
    with pytest.raises(BadSquashfs, match="noise"):
        Squashfs(tmp_path / "noise").members()
