from pathlib import Path

import pytest

from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.overlay.maintainer_scripts import BUNDLE
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.programs import run
from hyops_assets.image.squashfs import Squashfs
from hyops_lab.debs import Deb, Entry, write_deb

STATUS = "Package: base-files\nStatus: install ok installed\nVersion: 12.4\nArchitecture: amd64\n"
AUTHORITIES = Deb(
    "ca-certificates",
    "20250419",
    entries=(
        Entry("/etc/ssl/certs", "directory", mode=0o755),
        Entry("/usr/share/ca-certificates/mozilla/Second.crt", content=b"-- second --"),
        Entry("/usr/share/ca-certificates/mozilla/First.crt", content=b"-- first --\n"),
        Entry("/usr/share/ca-certificates/README", content=b"no authority"),
    ),
)


def overlay(tmp_path: Path, *debs: Deb) -> Tree:
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(STATUS)
    run(["mksquashfs", root, tmp_path / "root.squashfs", "-noappend", "-quiet", "-no-progress"])
    (tmp_path / "cc_vyos.py").write_text("")
    for deb in debs:
        write_deb(deb, tmp_path / deb.file_name)
    found = {deb.name: tmp_path / deb.file_name for deb in debs}
    return build_overlay(
        Squashfs(tmp_path / "root.squashfs"), found, tmp_path / "cc_vyos.py", scratch=tmp_path / "scratch"
    )


def text(tree: Tree, path: str) -> str:
    source = tree.nodes[path].source
    assert source is not None
    return source.read_text()


def test_a_guest_trusts_the_authorities_that_were_added(tmp_path: Path) -> None:
    tree = overlay(tmp_path, AUTHORITIES)
    assert text(tree, BUNDLE) == "-- first --\n-- second --\n"
    assert text(tree, "/etc/ca-certificates.conf") == "mozilla/First.crt\nmozilla/Second.crt\n"
    assert tree.nodes["/etc/ssl/certs/First.pem"].target == "/usr/share/ca-certificates/mozilla/First.crt"


@pytest.mark.parametrize("debs", [(), (Deb("app", "1"),)])
def test_an_iso_with_authorities_of_its_own_keeps_them(debs: tuple[Deb, ...], tmp_path: Path) -> None:
    assert BUNDLE not in overlay(tmp_path, *debs).nodes
