"""The persistence file system grows to its disk: seen from inside a guest that boots twice, and from outside."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_assets.image.boot.accelerator import QEMU, probe
from hyops_assets.image.boot.gate import MEMORY_MIB, console_tail
from hyops_assets.image.disk.gpt import PartitionTable, read_table
from hyops_assets.image.programs import run, running

pytestmark = pytest.mark.slow

BUILT_BYTES, GROWN_BYTES = 2 << 30, 6 << 30
BOOT_SECONDS = 280
MARK = "hyops-growth"
SCRIPT = f"""#!/bin/sh
device=$(blkid -L persistence)
mkdir -p /run/look && mount "$device" /run/look
size=$(df -B1 --output=size /run/look | tail -n 1)
free=$(df -B1 --output=avail /run/look | tail -n 1)
umount /run/look
said=$(journalctl -b -u hyops-grow-persistence -o cat | tr '\\n' ' ')
for _ in 1 2; do
    printf '\\r\\n{MARK} %s\\r\\n' "partition=$(blockdev --getsize64 "$device") size=$size free=$free" >/dev/ttyS0
    printf '\\r\\n{MARK}-said %s\\r\\n' "$said" >/dev/ttyS0
done
systemctl --no-block poweroff
"""


@dataclass(frozen=True)
class Grown:
    """What a guest told of its persistence file system, in bytes, and what its unit said."""

    partition: int
    size: int
    free: int
    said: str


class Guest:
    """A machine with one disk that keeps what is written to it."""

    def __init__(self, disk: Path, scratch: Path) -> None:
        self.disk = disk
        self._scratch = scratch
        self._boots = 0

    def boot(self) -> Grown:
        """Boot as a new instance, until the guest has told and powered itself off."""
        self._boots += 1
        console = self._scratch / f"console-{self._boots}"
        seed = self._seed()
        disk = f"if=none,id=disk,format=qcow2,file={self.disk}"
        argv = [
            *(QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-machine", "q35,graphics=off,hpet=off"),
            *(*probe().qemu_arguments, "-smp", "2", "-m", str(MEMORY_MIB), "-display", "none", "-nic", "none"),
            *("-serial", f"file:{console}", "-device", "virtio-scsi-pci,id=scsi"),
            *("-drive", disk, "-device", "scsi-hd,drive=disk,bootindex=0"),
            *("-drive", f"if=none,id=seed,format=raw,readonly=on,file={seed}", "-device", "scsi-cd,drive=seed"),
        ]
        with running(argv) as process:
            try:
                process.wait(BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                pytest.fail(f"the guest did not power off:\n{console_tail(console.read_text(errors='replace'))}")
        return told(console.read_text(errors="replace"))

    def table(self) -> PartitionTable:
        """Return the partition table, both copies of which are verified; and check the file system."""
        raw = self._scratch / "look.raw"
        run(["qemu-img", "convert", "-O", "raw", self.disk, raw])
        table = read_table(raw)
        root = f"{raw}?offset={table.partitions[2].offset}"
        # The first replays the journal, as a boot would; the second finds nothing to do.
        run(["e2fsck", "-f", "-p", root], ok=(0, 1))
        run(["e2fsck", "-f", "-n", root])
        raw.unlink()
        return table

    def _seed(self) -> Path:
        content = self._scratch / f"seed-{self._boots}"
        content.mkdir()
        (content / "meta-data").write_text(f"instance-id: growth-{self._boots}\n")
        (content / "user-data").write_text(SCRIPT)
        (content / "network-config").write_text("version: 1\nconfig: []\n")
        seed = content.with_suffix(".iso")
        run(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o", seed, content])
        return seed


def told(console: str) -> Grown:
    """Read what the guest printed: each line stands twice, since the kernel may write into one."""
    lines = [line.strip() for line in console.replace("\r", "\n").splitlines()]
    facts = [line.split()[1:] for line in lines if line.startswith(f"{MARK} ")]
    said = [line for line in lines if line.startswith(f"{MARK}-said ")]
    assert facts, console_tail(console)
    numbers = {name: int(value) for name, _, value in (word.partition("=") for word in facts[-1])}
    return Grown(numbers["partition"], numbers["size"], numbers["free"], said[-1])


def test_the_first_boot_grows_to_the_disk_and_the_second_changes_nothing(lookalike_disk: Path, tmp_path: Path) -> None:
    built = read_table(lookalike_disk)
    enlarged = tmp_path / "enlarged.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", lookalike_disk, enlarged])
    run(["qemu-img", "resize", "-q", enlarged, str(GROWN_BYTES)])
    guest = Guest(enlarged, tmp_path)

    first = guest.boot()
    grown = guest.table()
    assert first.partition == grown.partitions[2].size_bytes > GROWN_BYTES - (300 << 20)
    # The file system's own tables take the rest.
    assert first.size > 0.95 * first.partition
    assert first.free > first.size - BUILT_BYTES
    assert "CHANGED: partition=3" in first.said
    # Where the partitions begin, and who they are, is what the boot loader knows them by.
    assert [(part.unique, part.first) for part in grown.partitions] == [
        (part.unique, part.first) for part in built.partitions
    ]
    assert grown.partitions[:2] == built.partitions[:2]

    second = guest.boot()
    assert guest.table() == grown
    assert (second.partition, second.size) == (first.partition, first.size)
    assert "NOCHANGE: partition 3" in second.said
    assert "Nothing to do!" in second.said
