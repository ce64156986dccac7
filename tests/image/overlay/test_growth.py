"""The persistence file system grows to its disk on the first boot: seen from inside the guest, and from outside.

That the next boot changes nothing is seen on the clone of a grown disk too (tests/resources/test_proxmox_smoke.py).
"""

import re
from pathlib import Path

import pytest

from hyops_assets.image.disk.gpt import PartitionTable, read_table
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_DISK_BYTES
from tests.first_boot import GROWN_BYTES, FirstBoot

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("first-boot")]


@pytest.fixture(scope="module")
def grown(first_boot: FirstBoot) -> PartitionTable:
    """The partition table after the boot, both copies of which are verified."""
    return read_table(first_boot.disk)


def test_the_first_boot_grows_the_partition_and_its_file_system(first_boot: FirstBoot, grown: PartitionTable) -> None:
    partition, size, free = first_boot.seen()
    assert partition == grown.partitions[2].size_bytes > GROWN_BYTES - (300 << 20)
    # The file system's own tables take the rest.
    assert size > 0.95 * partition
    assert free > size - LOOKALIKE_DISK_BYTES
    assert "hyops-grow-persistence: CHANGED: partition=3" in first_boot.console


def test_growing_a_disk_that_has_grown_changes_nothing(first_boot: FirstBoot) -> None:
    """It ran once more in the guest, as it does at every boot."""
    first, again = re.findall(r"hyops-grow-persistence: (CHANGED|NOCHANGE): partition", first_boot.console)
    assert (first, again) == ("CHANGED", "NOCHANGE")
    assert "Nothing to do!" in first_boot.console


def test_the_file_system_of_a_grown_disk_is_sound(first_boot: FirstBoot, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    run(["cp", "--sparse=always", "--reflink=auto", first_boot.disk, disk])
    root = f"{disk}?offset={read_table(disk).partitions[2].offset}"
    # The first replays the journal, as a boot would; the second finds nothing to do.
    run(["e2fsck", "-f", "-p", root], ok=(0, 1))
    run(["e2fsck", "-f", "-n", root])


def test_what_the_boot_loader_knows_the_partitions_by_stays(grown: PartitionTable, lookalike_disk: Path) -> None:
    built = read_table(lookalike_disk)
    assert [(part.unique, part.first) for part in grown.partitions] == [
        (part.unique, part.first) for part in built.partitions
    ]
    assert grown.partitions[:2] == built.partitions[:2]
