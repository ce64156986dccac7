"""Packages that could harm: each is refused before anything of it reaches the overlay's caller."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.disk.tree import BadPath, Tree
from hyops_assets.image.overlay.claims import Claims, SharedPath
from hyops_assets.image.overlay.debs import BadPackage, Staging, unpack
from hyops_assets.image.overlay.dpkg_status import register
from hyops_assets.image.overlay.layers import Layers
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_lab.debs import Deb, Entry, write_deb

STATUS = "Package: vyos-1x\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"


@pytest.fixture(scope="module")
def squashfs(tmp_path_factory: pytest.TempPathFactory) -> Squashfs:
    root = tmp_path_factory.mktemp("squashfs") / "root"
    for directory in ("usr/lib", "usr/bin", "var/lib/dpkg/info", "etc"):
        (root / directory).mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "usr/lib/of-vyos").write_text("theirs\n")
    (root / "etc/of-no-package").write_text("theirs\n")
    (root / "etc/rsyslog.conf").write_text("of vyos-1x\n")
    (root / "var/lib/dpkg/status").write_text(STATUS)
    (root / "var/lib/dpkg/info/vyos-1x.list").write_text("/.\n/lib\n/lib/of-vyos\n/etc/rsyslog.conf\n")
    (root / "var/lib/dpkg/diversions").write_text("/etc/rsyslog.conf\n/etc/rsyslog.conf.orig\nvyos-1x\n")
    image = root.with_suffix(".squashfs")
    run(["mksquashfs", root, image, "-noappend", "-quiet", "-no-progress", "-all-root"])
    return Squashfs(image)


def overlay(squashfs: Squashfs, tmp_path: Path, *debs: Deb) -> Tree:
    helper = tmp_path / "cc_vyos.py"
    helper.write_text("")
    for deb in debs:
        write_deb(deb, tmp_path / deb.file_name)
    found = {deb.name: tmp_path / deb.file_name for deb in debs}
    return build_overlay(squashfs, found, helper, scratch=tmp_path / "scratch")


def text(tree: Tree, path: str) -> str:
    source = tree.nodes[path].source
    assert source is not None
    return source.read_text()


HARMFUL: Mapping[str, tuple[Entry, type[HyopsError], str]] = {
    "a path that climbs": (Entry("/../etc/shadow"), BadPackage, "leaves the tree"),
    "a path that climbs later": (Entry("/usr/../../etc/shadow"), BadPackage, "leaves the tree"),
    "a hard link that climbs": (Entry("/x", "hardlink", target="/../etc/shadow"), BadPackage, "leaves the tree"),
    "a device": (Entry("/dev/sda", "device"), BadPackage, "/dev/sda, neither file, link nor directory"),
    "a fifo": (Entry("/run/x", "fifo"), BadPackage, "neither file, link nor directory"),
    "setuid": (Entry("/usr/bin/x", mode=0o4755), BadPackage, "/usr/bin/x, which would run as another user"),
    "setgid": (Entry("/usr/bin/x", mode=0o2755), BadPackage, "which would run as another user or group"),
    "a name that no directory holds": (Entry(f"/usr/{'n' * 256}"), BadPackage, "a longer name than a file can have"),
    "a path that no program opens": (
        Entry("/usr" + f"/{'d' * 250}" * 17),
        BadPackage,
        "a longer name than a file can have",
    ),
    "a hard link to such a name": (Entry("/x", "hardlink", target=f"/{'n' * 300}"), BadPackage, "a longer name"),
    "a link to nothing": (Entry("/usr/x", "symlink", target=""), BadPackage, "/usr/x, a link whose text has 0 bytes"),
    "a link that is too long": (
        Entry("/usr/x", "symlink", target="t" * 5000),
        BadPackage,
        "whose text has 5000 bytes",
    ),
    "a name of two lines": (Entry("/usr/bin/x\ny"), BadPath, "cannot stand on a disk image"),
    "a name with a quote": (Entry('/usr/bin/x"y'), BadPath, "cannot stand on a disk image"),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_what_could_harm_is_refused(case: str, squashfs: Squashfs, tmp_path: Path) -> None:
    entry, error, why = HARMFUL[case]
    with pytest.raises(error, match=why):
        overlay(squashfs, tmp_path, Deb("app", "1", entries=(entry,)))


def test_an_absolute_path_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    deb = Deb("app", "1", entries=(Entry("/etc/shadow", content=b"x"),), prefix="")
    with pytest.raises(BadPackage, match="'/etc', which leaves the tree"):
        overlay(squashfs, tmp_path, deb)


def test_a_file_below_a_packages_own_link_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    entries = (Entry("/usr/bin/way", "symlink", target="/etc"), Entry("/usr/bin/way/shadow", content=b"x"))
    with pytest.raises(BadPackage, match="/usr/bin/way/shadow, which leads through a link"):
        overlay(squashfs, tmp_path, Deb("app", "1", entries=entries))


def test_a_file_below_another_packages_link_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    first = Deb("a-way", "1", entries=(Entry("/usr/bin/way", "symlink", target="/etc"),))
    second = Deb("b-goer", "1", entries=(Entry("/usr/bin/way/deep/shadow", content=b"x"),))
    with pytest.raises(BadPackage, match="b-goer ships /usr/bin/way"):
        overlay(squashfs, tmp_path, first, second)


def test_two_packages_with_one_file_are_refused_although_spelled_otherwise(squashfs: Squashfs, tmp_path: Path) -> None:
    first = Deb("first", "1", entries=(Entry("/lib/shared", content=b"1"),))
    second = Deb("second", "1", entries=(Entry("/usr/lib/shared", content=b"2"),))
    with pytest.raises(SharedPath, match="second ships /usr/lib/shared, which first has already"):
        overlay(squashfs, tmp_path, first, second)


def test_a_file_twice_in_one_package_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    entries = (Entry("/usr/bin/x", content=b"1"), Entry("/usr/bin/x", content=b"2"))
    with pytest.raises(SharedPath, match="app ships /usr/bin/x, which app has already"):
        overlay(squashfs, tmp_path, Deb("app", "1", entries=entries))


@pytest.mark.parametrize("path", ["/lib/of-vyos", "/usr/lib/of-vyos"])
def test_a_file_of_a_package_of_the_iso_is_never_replaced(path: str, squashfs: Squashfs, tmp_path: Path) -> None:
    with pytest.raises(SharedPath, match=f"app ships {path}, which vyos-1x of the ISO has already"):
        overlay(squashfs, tmp_path, Deb("app", "1", entries=(Entry(path, content=b"ours"),)))


def test_a_file_that_no_package_brought_is_replaced_as_dpkg_does(squashfs: Squashfs, tmp_path: Path) -> None:
    tree = overlay(squashfs, tmp_path, Deb("app", "1", entries=(Entry("/etc/of-no-package", content=b"ours"),)))
    assert text(tree, "/etc/of-no-package") == "ours"


def test_what_the_iso_diverts_lands_where_it_says(squashfs: Squashfs, tmp_path: Path) -> None:
    entries = (Entry("/etc/rsyslog.conf", content=b"of rsyslog"),)
    tree = overlay(squashfs, tmp_path, Deb("rsyslog", "8", entries=entries, conffiles=("/etc/rsyslog.conf",)))
    assert "/etc/rsyslog.conf" not in tree.nodes
    assert text(tree, "/etc/rsyslog.conf.orig") == "of rsyslog"
    # dpkg's own list keeps the name that the package gave it.
    assert "/etc/rsyslog.conf\n" in text(tree, "/var/lib/dpkg/info/rsyslog.list")


LARGE = (Entry("/usr/lib/large", content=bytes(2 << 20)),)
MANY = tuple(Entry(f"/usr/lib/{number}") for number in range(300))


@pytest.mark.parametrize("entries", [LARGE, MANY], ids=["one large file", "ever so many empty files"])
def test_packages_that_unpack_to_too_much_are_refused_before_it_is_written(
    entries: tuple[Entry, ...], squashfs: Squashfs, tmp_path: Path
) -> None:
    write_deb(Deb("app", "1", entries=entries), tmp_path / "app.deb")
    layers = Layers(squashfs)
    staging = Staging(tmp_path / "scratch", most_bytes=1 << 20)
    with pytest.raises(BadPackage, match="the packages up to app unpack to more than 1 MiB"):
        unpack("app", tmp_path / "app.deb", layers, Claims(squashfs, layers), staging)
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").iterdir()) == 0


def test_names_as_long_as_linux_allows_are_unpacked(squashfs: Squashfs, tmp_path: Path) -> None:
    name, target = f"/usr/{'n' * 255}", "t" * 4095
    tree = overlay(squashfs, tmp_path, Deb("app", "1", entries=(Entry(name, "symlink", target=target),)))
    assert tree.nodes[name].target == target


def test_a_name_that_is_said_to_fill_the_memory_is_refused_unread(squashfs: Squashfs, tmp_path: Path) -> None:
    write_deb(Deb("app", "1", entries=(Entry(f"/usr/{'n' * 200}"),)), tmp_path / "app.deb")
    content = bytearray((tmp_path / "app.deb").read_bytes())
    header = content.index(b"././@LongLink")
    # The size of the long name, in octal, and the header's checksum over it (tar(5)).
    content[header + 124 : header + 136] = b"77777777777\0"
    content[header + 148 : header + 156] = b" " * 8
    content[header + 148 : header + 156] = b"%06o\0 " % sum(content[header : header + 512])
    (tmp_path / "app.deb").write_bytes(content)
    layers = Layers(squashfs)
    with pytest.raises(BadPackage, match=f"said to take {8 << 30} bytes"):
        unpack("app", tmp_path / "app.deb", layers, Claims(squashfs, layers), Staging(tmp_path / "scratch"))


def test_a_damaged_package_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    deb = Deb("app", "1", entries=(Entry("/usr/bin/app", content=bytes(20000)),))
    write_deb(deb, tmp_path / "whole.deb")
    (tmp_path / "damaged.deb").write_bytes((tmp_path / "whole.deb").read_bytes()[:9000])
    (tmp_path / "cc_vyos.py").write_text("")
    with pytest.raises(BadPackage, match="app cannot be read"):
        build_overlay(
            squashfs, {"app": tmp_path / "damaged.deb"}, tmp_path / "cc_vyos.py", scratch=tmp_path / "scratch"
        )


def test_a_package_that_is_another_than_the_lock_says_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    write_deb(Deb("other", "1"), tmp_path / "app.deb")
    (tmp_path / "cc_vyos.py").write_text("")
    with pytest.raises(BadPackage, match=r"the \.deb of app says that it is other for all"):
        build_overlay(squashfs, {"app": tmp_path / "app.deb"}, tmp_path / "cc_vyos.py", scratch=tmp_path / "scratch")


def test_a_package_for_another_machine_is_refused(squashfs: Squashfs, tmp_path: Path) -> None:
    with pytest.raises(BadPackage, match="app for arm64"):
        overlay(squashfs, tmp_path, Deb("app", "1", architecture="arm64"))


CONTENTS = (
    Entry("/etc/app.conf", content=b"x = 1"),
    Entry("/usr/bin/link", "symlink", target="app"),
    Entry("/usr/bin/again", "hardlink", target="/etc/app.conf"),
)


@pytest.mark.seconds
@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 7000), byte=st.sampled_from(b"\0/.07\xff"), more=st.binary(max_size=8))
def test_any_deb_is_unpacked_or_refused(at: int, byte: int, more: bytes, squashfs: Squashfs, tmp_path: Path) -> None:
    write_deb(Deb("app", "1", entries=CONTENTS, conffiles=("/etc/app.conf",)), tmp_path / "app.deb")
    content = bytearray((tmp_path / "app.deb").read_bytes())
    changed = bytes([byte]) + more
    content[at : at + len(changed)] = changed
    (tmp_path / "app.deb").write_bytes(content)
    layers = Layers(squashfs)
    staging = Staging(tmp_path / "scratch")
    # Any other error than a typed one ends the test.
    with suppress(HyopsError):
        unpacked = unpack("app", tmp_path / "app.deb", layers, Claims(squashfs, layers), staging)
        register([unpacked], squashfs, layers, staging)
