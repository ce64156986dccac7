import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.overlay import packages
from hyops_assets.image.overlay.apt import Apt, MissingVersion, SourceUnreachable, UntrustedSource
from hyops_assets.image.overlay.lock import PackageLock
from hyops_assets.image.overlay.packages import BadPackageName, TamperedPackage, fetch, fetch_indexes, resolve
from hyops_assets.image.overlay.sources import NoSource
from hyops_assets.image.overlay.unsolvable import Unsolvable
from hyops_assets.image.space import NoSpace
from hyops_assets.settings.build import AptSource
from hyops_lab.debs import Deb, Entry
from hyops_lab.packages import make_repository
from tests.full_disk import file_size_limit
from tests.killing import killed_at_each_line, kills

STATUS = b"Package: base-files\nStatus: install ok installed\nVersion: 12.4+deb12u5\nArchitecture: amd64\n"
WANTED = ["cloud-init", "qemu-guest-agent", "cloud-guest-utils"]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("apt with a blank")


@pytest.fixture(scope="module")
def source(repositories: Path) -> AptSource:
    return make_repository(repositories)


def repository_of(source: AptSource) -> Path:
    return source.keyring.parent


def copy_of(source: AptSource, destination: Path) -> AptSource:
    """Copy a repository, so that a test may spoil it."""
    shutil.copytree(repository_of(source), destination)
    return AptSource(line=f"deb file:{destination} bookworm main", keyring=destination / source.keyring.name)


def test_what_is_wanted_is_locked_with_what_it_depends_on(source: AptSource, tmp_path: Path) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path)
    assert [package.name for package in lock.packages] == sorted([*WANTED, "python3-configobj"])
    assert lock.suite == "bookworm"
    agent = lock.packages[-1]
    assert (agent.version, agent.file_name) == ("1:7.2+lab1", "qemu-guest-agent_1%3a7.2+lab1_amd64.deb")


def test_the_same_packages_have_the_same_digest(source: AptSource, tmp_path: Path) -> None:
    first = resolve(STATUS, WANTED, [source], tmp_path / "a")
    second = resolve(STATUS, list(reversed(WANTED)), [source], tmp_path / "b")
    assert first.digest == second.digest
    assert PackageLock.model_validate_json(first.model_dump_json()).digest == first.digest


def test_what_the_iso_holds_is_not_locked(source: AptSource, tmp_path: Path) -> None:
    present = STATUS + b"\nPackage: python3-configobj\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
    names = [package.name for package in resolve(present, WANTED, [source], tmp_path).packages]
    assert names == sorted(WANTED)
    assert resolve(present, ["python3-configobj"], [source], tmp_path).packages == []


OLD_LIBC = STATUS + b"\nPackage: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u4\nArchitecture: amd64\n"


def unsolvable(repositories: Path, cache: Path, *debs: Deb, wanted: str = "app") -> Unsolvable:
    """Return why an ISO with an old C library cannot take a package."""
    with pytest.raises(Unsolvable) as raised:
        resolve(OLD_LIBC, [wanted], [make_repository(repositories, debs=debs)], cache)
    return raised.value


@pytest.mark.parametrize(
    "depends",
    ["libc6 (>= 2.36-9+deb12u9)", "libc6 (= 2.36-9+deb12u9)"],
    ids=["a newer one", "exactly another one"],
)
def test_an_iso_older_than_the_archive_learns_what_is_wanted_what_it_has_and_what_to_do(
    depends: str, repositories: Path, tmp_path: Path
) -> None:
    newer = Deb("libc6", "2.36-9+deb12u9", architecture="amd64")
    error = unsolvable(repositories, tmp_path, Deb("app", "2", depends=depends), newer)
    assert f"app needs {depends}, and the ISO has 2.36-9+deb12u4" in error.message
    assert "snapshot.debian.org" in error.hint
    assert "newer ISO" in error.hint


def test_a_dependency_of_a_dependency_is_named_with_who_wants_it(repositories: Path, tmp_path: Path) -> None:
    debs = (Deb("app", "2", depends="lib-x"), Deb("lib-x", "1", depends="libc6 (>= 2.99)"))
    assert "lib-x needs libc6 (>= 2.99)" in unsolvable(repositories, tmp_path, *debs).message


def test_a_downgrade_of_the_iso_is_refused(repositories: Path, tmp_path: Path) -> None:
    debs = (Deb("app", "2", depends="libc6 (= 2.31)"), Deb("libc6", "2.31", architecture="amd64"))
    assert "app needs libc6 (= 2.31)" in unsolvable(repositories, tmp_path, *debs).message


@pytest.mark.parametrize("relation", ["Conflicts: libc6", "Breaks: libc6 (<< 3)"])
def test_a_removal_from_the_iso_is_refused(relation: str, repositories: Path, tmp_path: Path) -> None:
    error = unsolvable(repositories, tmp_path, Deb("app", "2", relations=(relation,)))
    assert "apt would remove libc6 of the ISO" in error.message


def test_apt_looks_for_a_solution_that_leaves_the_iso_as_it_is(repositories: Path, tmp_path: Path) -> None:
    debs = [
        Deb("app", "2", depends="libc6 (>= 2.99) | static-app"),
        Deb("libc6", "2.99-1", architecture="amd64"),
        Deb("static-app", "1"),
    ]
    lock = resolve(OLD_LIBC, ["app"], [make_repository(repositories, debs=debs)], tmp_path)
    assert [package.name for package in lock.packages] == ["app", "static-app"]


@pytest.mark.parametrize("state", ["hold ok installed", "install ok triggers-awaited"])
def test_a_package_of_the_iso_is_there_whatever_state_dpkg_has_it_in(
    state: str, repositories: Path, tmp_path: Path
) -> None:
    status = STATUS + f"\nPackage: lib-x\nStatus: {state}\nVersion: 1\nArchitecture: all\n".encode()
    debs = [Deb("app", "2", depends="lib-x"), Deb("lib-x", "2")]
    lock = resolve(status, ["app"], [make_repository(repositories, debs=debs)], tmp_path)
    assert [package.name for package in lock.packages] == ["app"]


def test_an_iso_of_trixie_is_solved_against_trixie(repositories: Path, tmp_path: Path) -> None:
    status = STATUS.replace(b"12.4+deb12u5", b"13.1")
    source = make_repository(repositories, suite="trixie")
    lock = resolve(status, WANTED, [source], tmp_path)
    assert lock.suite == "trixie"
    assert sorted(fetch(lock, [source], tmp_path)) == [package.name for package in lock.packages]


@pytest.mark.parametrize("name", ["./local.deb", "app-", "app=1", "app/trixie", "^app$", "app*", "task^", "", "-o"])
def test_what_apt_would_not_take_for_a_name_is_refused(name: str, source: AptSource, tmp_path: Path) -> None:
    with pytest.raises(BadPackageName, match="no package's name"):
        resolve(STATUS, ["cloud-init", name], [source], tmp_path)


@pytest.mark.seconds
def test_an_index_past_its_time_is_refused_for_a_new_lock_and_serves_a_given_one(
    source: AptSource, repositories: Path, tmp_path: Path
) -> None:
    old = make_repository(repositories, valid_until="Wed, 15 Nov 2023 22:13:20 UTC")
    with pytest.raises(UntrustedSource, match="expired"):
        resolve(STATUS, WANTED, [old], tmp_path / "a")
    lock = resolve(STATUS, WANTED, [source], tmp_path / "a")
    assert sorted(fetch(lock, [old], tmp_path / "b")) == [package.name for package in lock.packages]


def test_a_package_that_no_source_has_is_named(source: AptSource, tmp_path: Path) -> None:
    with pytest.raises(Unsolvable, match="no-such-package"):
        resolve(STATUS, ["no-such-package"], [source], tmp_path)


def test_a_dependency_that_cannot_be_had_is_named(repositories: Path, tmp_path: Path) -> None:
    source = make_repository(repositories, debs=[Deb("app", "1", depends="missing-library")])
    with pytest.raises(Unsolvable, match="missing-library"):
        resolve(STATUS, ["app"], [source], tmp_path)


def test_another_keyring_is_refused(source: AptSource, repositories: Path, tmp_path: Path) -> None:
    unrelated = make_repository(repositories, debs=[Deb("unrelated", "1")])
    with pytest.raises(UntrustedSource, match=r"NO_PUBKEY|Missing key"):
        resolve(STATUS, WANTED, [AptSource(line=source.line, keyring=unrelated.keyring)], tmp_path)


def test_an_index_that_was_changed_after_signing_is_refused(source: AptSource, tmp_path: Path) -> None:
    spoiled = copy_of(source, tmp_path / "repository")
    index = tmp_path / "repository/dists/bookworm/main/binary-amd64/Packages"
    index.write_text(index.read_text().replace("Version: 0.33-1+lab1", "Version: 0.33-1+lab9"))
    with pytest.raises(UntrustedSource):
        resolve(STATUS, WANTED, [spoiled], tmp_path / "cache")


def test_an_unsigned_source_is_refused(source: AptSource, tmp_path: Path) -> None:
    spoiled = copy_of(source, tmp_path / "repository")
    (tmp_path / "repository/dists/bookworm/InRelease").unlink()
    with pytest.raises(UntrustedSource):
        resolve(STATUS, WANTED, [spoiled], tmp_path / "cache")


@pytest.mark.seconds
def test_a_source_that_does_not_answer_is_worth_another_try(source: AptSource, tmp_path: Path) -> None:
    gone = AptSource(line="deb http://127.0.0.1:9/debian bookworm main", keyring=source.keyring)
    with pytest.raises(SourceUnreachable):
        resolve(STATUS, WANTED, [gone], tmp_path)


def test_every_locked_package_is_fetched_and_is_what_the_lock_says(source: AptSource, tmp_path: Path) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path)
    debs = fetch(lock, [source], tmp_path)
    assert sorted(debs) == [package.name for package in lock.packages]
    assert {path.stat().st_size for path in debs.values()} == {package.size_bytes for package in lock.packages}
    assert not any(path.is_symlink() for path in debs.values())


@pytest.mark.parametrize(("cache_of_lock", "updates"), [(True, 0), (False, 1)])
def test_a_fetch_asks_for_indexes_only_where_those_it_has_lack_a_version(
    cache_of_lock: bool, updates: int, source: AptSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path / "first")
    asked: list[None] = []
    update = Apt.update
    monkeypatch.setattr(Apt, "update", lambda apt: (asked.append(None), update(apt)))
    cache = tmp_path / ("first" if cache_of_lock else "second")
    assert len(fetch(lock, [source], cache)) == len(lock.packages)
    assert len(asked) == updates


def test_indexes_that_were_fetched_ahead_serve_a_fetch(
    source: AptSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path / "first")
    fetch_indexes("bookworm", [source], tmp_path / "ahead")
    monkeypatch.delattr(Apt, "update")
    assert len(fetch(lock, [source], tmp_path / "ahead")) == len(lock.packages)


def test_a_lock_rebuilds_without_any_source_once_it_is_cached(source: AptSource, tmp_path: Path) -> None:
    copied = copy_of(source, tmp_path / "repository")
    lock = resolve(STATUS, WANTED, [copied], tmp_path / "cache")
    first = fetch(lock, [copied], tmp_path / "cache")
    shutil.rmtree(tmp_path / "repository")
    assert fetch(lock, [], tmp_path / "cache") == first
    with pytest.raises(NoSource, match=r"cloud-init 22\.4"):
        fetch(lock, [], tmp_path / "another cache")


def test_a_tampered_file_in_the_cache_is_fetched_again(source: AptSource, tmp_path: Path) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path)
    path = fetch(lock, [source], tmp_path)["cloud-init"]
    genuine = path.read_bytes()
    path.write_bytes(genuine.replace(b"cloud-init of the lab", b"cloud-evil of the lab"))
    with pytest.raises(NoSource, match="cloud-init"):
        fetch(lock, [], tmp_path)
    assert fetch(lock, [source], tmp_path)["cloud-init"].read_bytes() == genuine


def test_a_tampered_deb_at_the_source_is_refused(source: AptSource, tmp_path: Path) -> None:
    spoiled = copy_of(source, tmp_path / "repository")
    lock = resolve(STATUS, WANTED, [spoiled], tmp_path / "cache")
    deb = next((tmp_path / "repository/pool").glob("cloud-init_*"))
    deb.write_bytes(deb.read_bytes().replace(b"cloud-init of the lab", b"cloud-evil of the lab"))
    with pytest.raises((TamperedPackage, UntrustedSource)):
        fetch(lock, [spoiled], tmp_path / "cache")
    assert not list((tmp_path / "cache/debs").glob(f"{lock.packages[1].sha256}*"))


def test_other_bytes_under_a_locked_version_are_refused_although_signed(repositories: Path, tmp_path: Path) -> None:
    first = make_repository(repositories, debs=[Deb("app", "1", entries=(Entry("/a", content=b"1"),))])
    second = make_repository(repositories, debs=[Deb("app", "1", entries=(Entry("/a", content=b"2"),))])
    lock = resolve(STATUS, ["app"], [first], tmp_path)
    with pytest.raises(TamperedPackage, match=lock.packages[0].sha256):
        fetch(lock, [second], tmp_path)


def test_a_version_that_is_gone_is_named(source: AptSource, repositories: Path, tmp_path: Path) -> None:
    lock = resolve(STATUS, ["cloud-guest-utils"], [source], tmp_path)
    newer = make_repository(repositories, debs=[Deb("cloud-guest-utils", "0.34")])
    with pytest.raises(MissingVersion, match=r"0\.33-1\+lab1"):
        fetch(lock, [newer], tmp_path)


def test_a_file_that_is_gone_is_named_although_the_index_still_has_it(source: AptSource, tmp_path: Path) -> None:
    hollow = copy_of(source, tmp_path / "repository")
    lock = resolve(STATUS, ["cloud-guest-utils"], [hollow], tmp_path)
    next((tmp_path / "repository/pool").glob("cloud-guest-utils_*")).unlink()
    with pytest.raises(MissingVersion, match="cloud-guest-utils") as raised:
        fetch(lock, [hollow], tmp_path)
    assert "build without a lock" in raised.value.hint


def test_a_deb_put_into_the_cache_by_hand_needs_no_source(source: AptSource, tmp_path: Path) -> None:
    lock = resolve(STATUS, ["cloud-guest-utils"], [source], tmp_path)
    with pytest.raises(NoSource) as raised:
        fetch(lock, [], tmp_path / "other")
    store = tmp_path / "other/debs"
    assert f"{store} as <its sha256>.deb" in raised.value.hint
    (package,) = lock.packages
    pooled = next((repository_of(source) / "pool").glob("cloud-guest-utils_*"))
    shutil.copyfile(pooled, store / f"{package.sha256}.deb")
    assert fetch(lock, [], tmp_path / "other")["cloud-guest-utils"].read_bytes() == pooled.read_bytes()


def test_what_a_killed_run_left_is_swept(source: AptSource, tmp_path: Path) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path)
    leftover = tmp_path / "apt/incoming" / lock.packages[0].file_name
    leftover.parent.mkdir()
    leftover.write_bytes(b"half a package")
    fetch(lock, [source], tmp_path)
    assert not leftover.parent.exists()


RESOLVE = """
import sys
from pathlib import Path
from hyops_assets.settings.build import AptSource
from hyops_assets.image.overlay.packages import resolve
line, keyring, status, cache = sys.argv[1:]
resolve(Path(status).read_bytes(), ["cloud-init"], [AptSource(line=line, keyring=Path(keyring))], Path(cache))
"""


def test_a_killed_run_takes_its_apt_along_and_the_next_one_goes_through(source: AptSource, tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(STATUS)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = f"deb http://127.0.0.1:{silent.getsockname()[1]}/debian bookworm main"
        argv = [sys.executable, "-c", RESOLVE, line, str(source.keyring), str(tmp_path / "status"), str(tmp_path)]
        with subprocess.Popen(argv) as process:
            silent.settimeout(30)
            connection, _ = silent.accept()
            process.kill()
        with connection:
            assert resolve(STATUS, WANTED, [source], tmp_path).packages


@pytest.mark.seconds
@kills(some=5)
def test_a_fetch_that_is_killed_at_any_line_is_finished_by_the_next(
    source: AptSource, tmp_path: Path, every: int
) -> None:
    lock = resolve(STATUS, ["cloud-init"], [source], tmp_path)
    for _ in killed_at_each_line(lambda: fetch(lock, [source], tmp_path), packages, every=every):
        kept = list((tmp_path / "debs").glob("*.deb"))
        assert all(sha256_of_file(path) == path.stem for path in kept)
    assert sorted(fetch(lock, [], tmp_path)) == ["cloud-init", "python3-configobj"]


@pytest.mark.seconds
def test_a_proxy_reaches_apt_through_its_environment_only(
    source: AptSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:9")
    remote = AptSource(line="deb http://mirror.invalid/debian bookworm main", keyring=source.keyring)
    with pytest.raises(SourceUnreachable) as raised:
        resolve(STATUS, WANTED, [remote], tmp_path)
    assert "127.0.0.1" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    written = [path.read_bytes() for path in (tmp_path / "apt").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in content for content in written)


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests ran as an ordinary user already")
def test_root_needs_no_sandbox_user(source: AptSource, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert fetch(resolve(STATUS, WANTED, [source], tmp_path), [source], tmp_path)


def test_no_room_for_a_fetched_package_is_one_error_and_the_next_run_goes_on(
    source: AptSource, tmp_path: Path
) -> None:
    lock = resolve(STATUS, WANTED, [source], tmp_path)
    with file_size_limit(8 << 10), pytest.raises(NoSpace, match="no space left at"):
        fetch(lock, [source], tmp_path)
    assert sorted(fetch(lock, [source], tmp_path)) == [package.name for package in lock.packages]
