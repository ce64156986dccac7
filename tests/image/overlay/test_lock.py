import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.contract.canonical import canonical_json
from hyops_assets.image.digests import sha256_of_bytes
from hyops_assets.image.overlay.lock import (
    BadLock,
    LockedPackage,
    PackageLock,
    WrongLock,
    parse_lock,
    read_lock,
    require_fits,
)
from hyops_assets.image.overlay.packages import fetch, resolve
from hyops_assets.settings.build import AptSource
from hyops_lab.packages import make_repository
from tests.image.overlay.alone import without_network

STATUS = b"Package: base-files\nStatus: install ok installed\nVersion: 12.4+deb12u5\nArchitecture: amd64\n"
PACKAGE = LockedPackage(
    name="app", version="1:2-3", architecture="all", file_name="app_1%3a2-3_all.deb", size_bytes=9, sha256="0" * 64
)
LOCK = PackageLock(suite="bookworm", status_sha256=sha256_of_bytes(STATUS), packages=[PACKAGE])


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(canonical_json(LOCK)) | fields).encode()


def test_a_lock_is_the_same_after_a_file(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_bytes(canonical_json(LOCK) + b"\n")
    assert read_lock(tmp_path / "lock.json") == LOCK
    assert read_lock(tmp_path / "lock.json").digest == LOCK.digest


def test_the_digest_of_a_lock_never_changes() -> None:
    assert LOCK.digest == "f65ba6b09c6a98d2bca56333d349796d66d1b60a418584dda334b3fd19b29587"


def test_a_lock_may_be_laid_out_for_people() -> None:
    assert parse_lock(json.dumps(json.loads(canonical_json(LOCK)), indent=4).encode()) == LOCK


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "EOF"),
        (b"{}", "suite: is missing; status_sha256: is missing; packages: is missing"),
        (b"[1]", "it: has to be a mapping of keys to values"),
        (changed(schema="hyops.package-lock/v2"), "schema: has to be 'hyops.package-lock/v1'"),
        (changed(surplus=1), "surplus: there is no such key"),
        (changed(packages=[PACKAGE.model_dump() | {"sha256": "ABC"}]), r"packages\.0\.sha256"),
        (changed(packages=[PACKAGE.model_dump() | {"file_name": "../x.deb"}]), "file_name"),
        (changed(packages=[PACKAGE.model_dump() | {"file_name": "/x.deb"}]), "file_name"),
        (changed(packages=[PACKAGE.model_dump() | {"file_name": "x y.deb"}]), "file_name"),
        (changed(packages=[PACKAGE.model_dump() | {"file_name": ".deb"}]), "file_name"),
        (changed(packages=[PACKAGE.model_dump()] * 2), "sorted by name, each named once"),
        (
            changed(packages=[PACKAGE.model_dump() | {"name": name} for name in ("bb", "aa")]),
            "sorted by name, each named once",
        ),
    ],
)
def test_a_file_that_is_no_lock_is_refused_and_tells_why(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_bytes(content)
    with pytest.raises(BadLock, match=why) as raised:
        read_lock(tmp_path / "lock.json")
    assert str(tmp_path / "lock.json") in raised.value.message
    assert "hyops.package-lock/v1" in raised.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadLock, match=r"gone\.json cannot be read: No such file"):
        read_lock(tmp_path / "gone.json")


def test_a_lock_fits_the_iso_that_it_was_solved_against() -> None:
    require_fits(LOCK, STATUS)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (STATUS.replace(b"12.4", b"13.1"), "this ISO is of trixie"),
        (STATUS.replace(b"deb12u5", b"deb12u6"), f"solved for bookworm against the dpkg status {LOCK.status_sha256}"),
    ],
)
def test_a_lock_of_another_iso_is_refused(status: bytes, why: str) -> None:
    with pytest.raises(WrongLock, match=why) as raised:
        require_fits(LOCK, status)
    assert "build without a lock" in raised.value.hint


FETCH = """
import sys
from pathlib import Path
from hyops_assets.settings.build import AptSource
from hyops_assets.image.overlay.lock import read_lock
from hyops_assets.image.overlay.packages import fetch
lock, keyring, cache = map(Path, sys.argv[1:])
closed = AptSource(line="deb http://127.0.0.1:9/debian bookworm main", keyring=keyring)
print(*sorted(fetch(read_lock(lock), [closed], cache)))
"""


@pytest.mark.seconds
def test_a_lock_from_a_file_needs_no_network_once_its_packages_are_cached(tmp_path: Path) -> None:
    source: AptSource = make_repository(tmp_path / "repository")
    lock = resolve(STATUS, ["cloud-init", "qemu-guest-agent"], [source], tmp_path / "cache")
    fetch(lock, [source], tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache/apt")
    (tmp_path / "lock.json").write_bytes(canonical_json(lock))
    argv = [sys.executable, "-c", FETCH, tmp_path / "lock.json", source.keyring, tmp_path / "cache"]
    done = subprocess.run([*without_network(), *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [package.name for package in lock.packages]
    # apt was not even asked.
    assert not (tmp_path / "cache/apt").exists()
