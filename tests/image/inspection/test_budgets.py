"""Small disks that claim much: each question ends within its budget, whatever a size on the disk says."""

import os
import struct
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.budget import Budget, OverBudget
from hyops_assets.image.disk.ext4 import Slot, check_ext4
from hyops_assets.image.disk.gpt import BIOS_BOOT, EFI_SYSTEM, LINUX_DATA, Partition, PartitionTable, write_table
from hyops_assets.image.inspection.arrival import opened_disk, release_on
from hyops_assets.image.inspection.esp_files import MOST_PROGRAM_BYTES, MOST_PROGRAMS_BYTES, EspFiles
from hyops_assets.image.inspection.files import Ext4Files
from hyops_assets.image.inspection.questions import QUESTIONS, Expected, inspect
from hyops_assets.image.programs import run
from hyops_assets.image.variants.decoding import require_modest
from hyops_assets.image.variants.disk_source import open_disk
from hyops_assets.image.variants.qcow2_header import BadQcow2
from hyops_assets.image.variants.rawxz_format import Index, block, block_check, stored, stream_header
from hyops_assets.image.variants.stock_xz import BadRawXz

MIB, GIB = 1 << 20, 1 << 30
CLUSTER = 1 << 16


def disk_with_a_huge_first_partition(path: Path, size_bytes: int) -> Path:
    """A sparse disk whose partition 1, where GRUB's core lies, takes all but a little of it."""
    end = size_bytes // 512
    bounds = [(BIOS_BOOT, 2048, end - 8192), (EFI_SYSTEM, end - 8191, end - 4096), (LINUX_DATA, end - 4095, end - 64)]
    path.touch()
    os.truncate(path, size_bytes)
    parts = tuple(Partition(kind, uuid.uuid4(), first, last) for kind, first, last in bounds)
    write_table(path, PartitionTable(uuid.uuid4(), parts))
    with path.open("r+b") as file:
        file.seek(0x5C)
        file.write(struct.pack("<Q", 2048))
        file.seek(0x180)
        file.write(b"GRUB")
    return path


def test_a_first_partition_of_900_gib_is_not_read(tmp_path: Path) -> None:
    disk = disk_with_a_huge_first_partition(tmp_path / "disk", 900 * GIB)
    found = inspect(disk, Expected("x"), tmp_path)
    assert [finding.name for finding in found] == list(QUESTIONS)
    assert next(one.detail for one in found if one.name == "starts_under_bios").startswith("GRUB's core image is said")
    assert release_on(disk, tmp_path) == "unknown"


def test_an_efi_program_of_another_size_than_any_is_read_no_further(tmp_path: Path) -> None:
    slot = Slot(tmp_path / "esp", 0, 160 * MIB)
    slot.disk.touch()
    os.truncate(slot.disk, slot.size_bytes)
    run(["mkfs.fat", "-F", "32", slot.disk])
    for name, size in (("large", MOST_PROGRAM_BYTES + 1), ("most", MOST_PROGRAM_BYTES)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
        run(["mcopy", "-i", slot.disk, tmp_path / name, f"::/{name}.efi"])
    files = EspFiles(slot)
    with pytest.raises(OverBudget, match=f"what mcopy prints takes more than the {MOST_PROGRAM_BYTES} bytes"):
        files.read("large.efi")
    for _ in range(MOST_PROGRAMS_BYTES // MOST_PROGRAM_BYTES):
        assert len(files.read("most.efi")) == MOST_PROGRAM_BYTES
    with pytest.raises(OverBudget, match="all that starts from the EFI partition"):
        files.read("most.efi")


def ext4_of(root: Path) -> Slot:
    slot = Slot(root.with_suffix(".ext4"), 0, 32 * MIB)
    run(["mkfs.ext4", "-q", "-F", "-N", "4096", "-d", root, slot.disk, f"{slot.size_bytes // 1024}k"])
    return slot


def test_a_file_system_with_more_files_than_allowed_is_refused_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(300):
        (root / str(number)).touch()
    slot, budget = ext4_of(root), Budget(entries=100)
    files = Ext4Files(slot, budget)
    for _ in range(2):
        with pytest.raises(OverBudget, match=r"the listing of root\.ext4 takes more than the 100 entries"):
            files.names("/")
    assert len(Ext4Files(slot).names("/")) == 300
    # Asked once: the second refusal started no program.
    assert budget.left("programs") == Budget().left("programs") - 1


def test_directories_deep_in_each_other_take_no_run_of_a_program_each(tmp_path: Path) -> None:
    (tmp_path / "root" / "/".join("d" * 70)).mkdir(parents=True)
    with pytest.raises(OverBudget, match="64 levels of directories"):
        _ = Ext4Files(ext4_of(tmp_path / "root")).tree


def test_a_file_that_claims_more_than_is_ever_copied_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/squashfs").write_bytes(b"x" * 4096)
    slot = ext4_of(tmp_path / "root")
    with pytest.raises(OverBudget, match="/squashfs takes more than the 4095 bytes"):
        Ext4Files(slot, Budget(size_bytes=4095)).dump("/squashfs", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(OverBudget, match="e2fsck"):
        check_ext4(slot, Budget(programs=0))
    check_ext4(slot)


def qcow2_that_repeats(path: Path, disk_bytes: int, entry: int) -> Path:
    """A qcow2 in which every cluster of the disk is one and the same; `entry` is what the tables say of it."""
    run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(disk_bytes)])
    with path.open("r+b") as file:
        file.seek(36)
        entries, first_table = struct.unpack(">IQ", file.read(12))
        second_table, data = 64 * CLUSTER, 65 * CLUSTER
        file.seek(first_table)
        file.write(struct.pack(">Q", 1 << 63 | second_table) * entries)
        file.seek(second_table)
        file.write(struct.pack(">Q", entry | data) * (CLUSTER // 8))
        file.seek(data)
        file.write(b"x" * CLUSTER)
    return path


@pytest.mark.parametrize(
    ("disk_bytes", "entry", "error", "why"),
    [
        pytest.param(GIB, 1 << 63, BadQcow2, "its tables name clusters of more", id="stored"),
        pytest.param(1 << 40, 1 << 62, OverBudget, "bytes of data", id="compressed"),
    ],
)
def test_a_qcow2_that_repeats_one_cluster_fills_no_disk(
    disk_bytes: int, entry: int, error: type[HyopsError], why: str, tmp_path: Path
) -> None:
    file = qcow2_that_repeats(tmp_path / "disk", disk_bytes, entry)
    with pytest.raises(error, match=why), opened_disk(file, tmp_path):
        pass
    with pytest.raises(error, match=why), open_disk(file, "qcow2", scratch=tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


def test_a_raw_xz_that_asks_for_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    content = bytes(512)
    one = block(stored(content), uncompressed_bytes=512, check=block_check(content), dictionary_bytes=1 << 31)
    index = Index()
    index.add(one)
    (tmp_path / "disk").write_bytes(stream_header() + one.data + index.ending())
    with pytest.raises(BadRawXz, match=r"[Mm]emory"), opened_disk(tmp_path / "disk", tmp_path):
        pass


def test_what_a_decoder_writes_is_counted_without_its_holes(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"x" * MIB)
    os.truncate(disk, 1 << 40)
    require_modest(disk, "x.qcow2", most_bytes=2 * MIB)
    with pytest.raises(OverBudget, match=r"the disk in x\.qcow2 takes more than the 4096 bytes of data"):
        require_modest(disk, "x.qcow2", most_bytes=4096)


MEASURED = """
import resource, sys
from pathlib import Path
from hyops_assets.image.budget import OverBudget
from hyops_assets.image.inspection.questions import Expected, inspect
from hyops_assets.image.squashfs import Squashfs
disk, squashfs, scratch = map(Path, sys.argv[1:])
inspect(disk, Expected("x"), scratch)
try:
    Squashfs(squashfs).members()
except OverBudget as error:
    print(error.message, file=sys.stderr)
peak = int(next(line for line in open("/proc/self/status") if "VmHWM" in line).split()[1])
print(max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024)
"""


@pytest.mark.alone
def test_neither_a_huge_partition_nor_endless_names_take_more_than_256_mib(tmp_path: Path) -> None:
    disk = disk_with_a_huge_first_partition(tmp_path / "disk", 12 * GIB)
    (tmp_path / "root").mkdir()
    names = tmp_path / "names"
    # One directory of all of them takes mksquashfs itself for ever.
    with names.open("w") as file:
        for directory in range(640):
            file.write(f"directory-{directory} d 755 0 0\n")
            file.writelines(f"directory-{directory}/name-{number:07} d 755 0 0\n" for number in range(500))
    image = tmp_path / "x.squashfs"
    run(["mksquashfs", tmp_path / "root", image, "-noappend", "-quiet", "-no-progress", "-pf", names])
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, disk, image, tmp_path], capture_output=True, text=True, check=True
    )
    assert "the listing of x.squashfs takes more than the 300000 entries" in measured.stderr
    assert int(measured.stdout) < 256 * MIB
