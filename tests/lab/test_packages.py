import tarfile
from pathlib import Path

from hyops_assets.image.programs import run
from hyops_lab.debs import Deb, Entry, write_deb
from hyops_lab.packages import make_repository
from tests.processes import naming


def test_a_repository_is_made_once(tmp_path: Path) -> None:
    first = make_repository(tmp_path)
    content = first.keyring.read_bytes()
    assert make_repository(tmp_path) == first
    assert first.keyring.read_bytes() == content
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_other_packages_make_another_repository(tmp_path: Path) -> None:
    assert make_repository(tmp_path).line != make_repository(tmp_path, debs=[Deb("app", "1")]).line


def test_its_index_is_signed_by_its_keyring(tmp_path: Path) -> None:
    source = make_repository(tmp_path)
    release = source.keyring.parent / "dists/bookworm/InRelease"
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    # Not gpgv: Debian 13's apt came without it.
    run(["gpg", "--homedir", home, "--no-default-keyring", "--keyring", source.keyring, "--verify", release])


def test_its_key_is_thrown_away_and_no_agent_stays(tmp_path: Path) -> None:
    make_repository(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "private" in path.name]
    assert not [line for line in naming(Path("hyops-gpg-")).values() if "gpg-agent" in line]


def test_dpkg_reads_what_was_written(tmp_path: Path) -> None:
    entries = (
        Entry("/usr/bin/app", content=b"app", mode=0o2755, uid=3, gid=4),
        Entry("/usr/bin/again", "hardlink", target="/usr/bin/app"),
        Entry("/usr/bin/link", "symlink", target="app"),
    )
    deb = Deb("app", "2:1.0", entries, depends="other", conffiles=("/usr/bin/app",))
    path = tmp_path / deb.file_name
    write_deb(deb, path)
    assert path.name == "app_1.0_all.deb"
    assert run(["dpkg-deb", "--field", path, "Version"]).text == "2:1.0\n"
    (tmp_path / "data.tar").write_bytes(run(["dpkg-deb", "--fsys-tarfile", path]).stdout)
    with tarfile.open(tmp_path / "data.tar") as archive:
        members = {member.name: member for member in archive}
    app = members["./usr/bin/app"]
    assert (app.mode, app.uid, app.gid, app.size) == (0o2755, 3, 4, 3)
    assert members["./usr/bin/again"].linkname == "./usr/bin/app"
    assert members["./usr/bin/link"].linkname == "app"
    assert members["./usr"].isdir()


def test_the_same_package_has_the_same_bytes(tmp_path: Path) -> None:
    deb = Deb("app", "1", (Entry("/a", content=b"1"),))
    write_deb(deb, tmp_path / "one")
    write_deb(deb, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
