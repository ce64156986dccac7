import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import BadPartitionTable, read_table
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.inspection.questions import Expected, inspect
from hyops_assets.image.intake.iso import OpenedIso
from hyops_assets.image.methods.finishing import Finished, find_installed, finish
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.programs import run
from tests.image.conftest import RELEASE, Workshop
from tests.image.methods.conftest import CONFIG, HOST_KEY

pytestmark = pytest.mark.seconds

UPPER = f"/boot/{RELEASE}/rw"


def files_of(disk: Path) -> Ext4Files:
    root = read_table(disk).partitions[2]
    return Ext4Files(Slot(disk, root.offset, root.size_bytes))


def finished(installed: Path, opened: OpenedIso, overlay: Tree, directory: Path) -> tuple[Path, Finished]:
    scratch = directory / "finishing"
    scratch.mkdir(parents=True)
    disk = directory / "disk.raw"
    return disk, finish(installed, opened, overlay, destination=disk, scratch=scratch)


def data_of(disk: Path) -> Iterator[bytes]:
    """Yield each stretch of a sparse file that is no hole."""
    with disk.open("rb") as file:
        size, end = os.fstat(file.fileno()).st_size, 0
        while end < size:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield os.pread(file.fileno(), end - begin, begin)


def test_an_installed_disk_becomes_an_image_that_every_inspection_passes(
    installed: Path, opened_once: OpenedIso, overlay: Tree, workshop: Workshop, tmp_path: Path
) -> None:
    disk, _ = finished(installed, opened_once, overlay, tmp_path)
    expected = Expected(RELEASE, opened_once.squashfs_sha256, sha256_of_file(workshop.helper), "ttyS0")
    assert [finding for finding in inspect(disk, expected, tmp_path) if finding.outcome == "failed"] == []
    assert disk.stat().st_size == installed.stat().st_size


def test_what_the_installer_left_in_its_upper_directory_is_gone_down_to_the_last_block(
    installed: Path, opened_once: OpenedIso, overlay: Tree, tmp_path: Path
) -> None:
    assert {UPPER + CONFIG, UPPER + HOST_KEY} <= set(files_of(installed).tree)
    disk, result = finished(installed, opened_once, overlay, tmp_path)
    assert not {UPPER + CONFIG, UPPER + HOST_KEY} & set(files_of(disk).tree)
    assert any(b"a private key" in block for block in data_of(installed))
    assert not any(b"a private key" in block for block in data_of(disk))
    assert result.dropped >= 2


def test_what_the_installer_made_bootable_stays_as_it_made_it(
    installed: Path, opened_once: OpenedIso, overlay: Tree, tmp_path: Path
) -> None:
    disk, _ = finished(installed, opened_once, overlay, tmp_path)
    before, after = files_of(installed), files_of(disk)
    kept = {path for path in before.tree if not path.startswith(f"/boot/{RELEASE}/rw")}
    assert kept == {path for path in after.tree if not path.startswith(f"/boot/{RELEASE}/rw")}
    assert find_installed(installed) == find_installed(disk)
    root = find_installed(disk).partition
    with installed.open("rb") as one, disk.open("rb") as other:
        assert one.read(root.offset) == other.read(root.offset)
        one.seek(root.offset + root.size_bytes)
        other.seek(root.offset + root.size_bytes)
        assert one.read() == other.read()


def test_the_same_installed_disk_is_finished_to_the_same_bytes(
    installed: Path, opened_once: OpenedIso, overlay: Tree, tmp_path: Path
) -> None:
    one, _ = finished(installed, opened_once, overlay, tmp_path / "one")
    other, _ = finished(installed, opened_once, overlay, tmp_path / "other")
    assert one.stat().st_size == other.stat().st_size
    run(["qemu-img", "compare", "-f", "raw", "-F", "raw", one, other])


def test_a_disk_with_another_image_is_refused_by_name(
    installed: Path, opened_once: OpenedIso, overlay: Tree, tmp_path: Path
) -> None:
    disk = tmp_path / "other.raw"
    run(["cp", "--sparse=auto", installed, disk])
    root = read_table(disk).partitions[2]
    script = tmp_path / "script"
    script.write_text("mkdir /boot/1.4.0\n")
    run(["debugfs", "-w", "-f", script, f"{disk}?offset={root.offset}"])
    with pytest.raises(BuildFailed, match=rf"1\.4\.0.*expected only {RELEASE}"):
        finished(disk, opened_once, overlay, tmp_path / "refused")
    assert not (tmp_path / "refused" / "disk.raw").exists()


def test_a_disk_without_the_partition_that_vyos_boots_from_is_refused(
    installed: Path, opened_once: OpenedIso, overlay: Tree, tmp_path: Path
) -> None:
    disk = tmp_path / "unlabelled.raw"
    run(["cp", "--sparse=auto", installed, disk])
    root = read_table(disk).partitions[2]
    with disk.open("r+b") as file:
        file.seek(root.offset)
        file.write(bytes(4096))
    with pytest.raises(BuildFailed, match="0 partitions of the disk"):
        finished(disk, opened_once, overlay, tmp_path / "refused")


def test_a_disk_without_a_partition_table_is_refused(opened_once: OpenedIso, overlay: Tree, tmp_path: Path) -> None:
    disk = tmp_path / "empty.raw"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    with pytest.raises(BadPartitionTable):
        finished(disk, opened_once, overlay, tmp_path / "refused")
