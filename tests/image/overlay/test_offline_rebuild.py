"""A lock given back rebuilds the same disk: from the cache alone, with no way to any network."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hyops_assets.contract.canonical import canonical_json
from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.overlay.apt import SourceUnreachable
from hyops_assets.image.overlay.lock import WrongLock
from hyops_assets.image.overlay.overlay import build_overlay
from hyops_assets.image.space import NoSpace
from hyops_assets.image.squashfs import Squashfs
from hyops_assets.settings.build import AptSource
from hyops_lab.debs import Deb, Entry, write_deb
from tests.full_disk import file_size_limit
from tests.image.conftest import DISK_BYTES, RELEASE, Workshop
from tests.image.overlay.alone import without_network

BUILD = """
import sys
from pathlib import Path
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_assets.image.build import build_disk
from hyops_assets.image.overlay.lock import read_lock
iso, helper, lock, cache, keyring, out = map(Path, sys.argv[1:7])
closed = AptSource(line="deb http://127.0.0.1:9/debian bookworm main", keyring=keyring)
built = build_disk(
    iso, release=sys.argv[7], settings=BuildSettings(disk_bytes=int(sys.argv[8]), apt_sources=[closed]),
    helper=helper, lock=read_lock(lock), cache=cache, destination=out / "disk.raw", scratch=out,
)
print(built.disk.sha256, built.lock.digest)
"""


def closed(workshop: Workshop) -> AptSource:
    return AptSource(line="deb http://127.0.0.1:9/debian bookworm main", keyring=workshop.source.keyring)


@pytest.mark.seconds
def test_a_lock_given_back_rebuilds_the_same_disk_without_network(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    (tmp_path / "lock.json").write_bytes(canonical_json(built[1].lock))
    # Nothing but the .debs is kept: no index, no state of apt.
    shutil.copytree(workshop.cache / "debs", tmp_path / "cache/debs")
    (tmp_path / "out").mkdir()
    paths = [workshop.iso.iso, workshop.helper, tmp_path / "lock.json", tmp_path / "cache"]
    argv = [sys.executable, "-c", BUILD, *paths, workshop.source.keyring, tmp_path / "out", RELEASE, str(DISK_BYTES)]
    done = subprocess.run([*without_network(), *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [built[1].disk.sha256, built[1].lock.digest]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["disk.raw"]


def test_a_lock_of_another_iso_builds_nothing(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    other = built[1].lock.model_copy(update={"status_sha256": "0" * 64})
    with pytest.raises(WrongLock, match="solved for bookworm against the dpkg status 0000"):
        workshop.build(tmp_path / "disk.raw", tmp_path, lock=other)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.seconds
def test_a_locked_package_that_cannot_be_had_builds_nothing(
    workshop: Workshop, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    settings = workshop.settings.model_copy(update={"apt_sources": [closed(workshop)]})
    with pytest.raises(SourceUnreachable, match=r"(?s)not in the cache: .*cloud-init 22\.4.*127\.0\.0\.1") as raised:
        workshop.build(
            tmp_path / "disk.raw",
            tmp_path / "scratch",
            lock=built[1].lock,
            settings=settings,
            cache=tmp_path / "empty",
        )
    assert f"put each .deb into {tmp_path}/empty/debs" in raised.value.hint
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not (tmp_path / "disk.raw").exists()


def test_the_lock_that_evidence_keeps_can_be_given_back(built: tuple[Path, BuiltDisk]) -> None:
    kept = json.dumps(built[1].lock.model_dump(mode="json"))
    assert type(built[1].lock).model_validate_json(kept) == built[1].lock


def test_no_room_for_the_packages_is_one_error(workshop: Workshop, tmp_path: Path) -> None:
    write_deb(Deb("large", "1", entries=(Entry("/usr/lib/large", content=bytes(4 << 20)),)), tmp_path / "large.deb")
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text("")
    subprocess.run(["mksquashfs", root, tmp_path / "root.squashfs", "-quiet", "-no-progress"], check=True)
    with file_size_limit(1 << 20), pytest.raises(NoSpace, match="no space left at"):
        build_overlay(
            Squashfs(tmp_path / "root.squashfs"),
            {"large": tmp_path / "large.deb"},
            workshop.helper,
            scratch=tmp_path / "scratch",
        )
