import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from hyops_assets.image.boot import gate as boot
from hyops_assets.image.boot.accelerator import Accelerator, probe
from hyops_assets.image.boot.gate import BootFailed, MissingFirmware, boot_gate, wrong_facts
from hyops_assets.image.methods.native import ROOT_SECTOR
from hyops_assets.image.programs import run
from hyops_assets.image.variants import qcow2
from tests.conftest import LOOKALIKE_RELEASE

TCG = Accelerator("tcg", "test")
HANG = bytes.fromhex("faf4ebfd")
# Sends the text at 0x7c40 to the serial port, then halts.
PRINT = bytes.fromhex("31c08ed8be407cbaf803ac84c07403eeebf8f4ebfd")
RELEASE = "2026.03.03-0027-rolling"
TIMEOUT = 600
GOOD = {
    "stage": "final",
    "root": "overlay",
    "union": f"/boot/{RELEASE}",
    "upper": f"/boot/{RELEASE}/rw",
    "release": RELEASE,
    "firmware": "bios",
    "commands": "applied",
    "default": RELEASE,
}


def disk_of(directory: Path, code: bytes, text: bytes = b"") -> Path:
    """A qcow2 whose boot sector is `code`, with a text at its 64th byte."""
    raw = directory / "disk.raw"
    raw.write_bytes((code.ljust(64, b"\0") + text).ljust(510, b"\0") + b"\x55\xaa")
    os.truncate(raw, 1 << 20)
    run(["qemu-img", "convert", "-O", "qcow2", raw, directory / "disk.qcow2"])
    return directory / "disk.qcow2"


def gate(disk: Path, scratch: Path, *, timeout: float = 20, firmware: boot.Firmware = "bios") -> boot.BootProof:
    return boot_gate(disk, release=RELEASE, firmware=firmware, accelerator=TCG, timeout=timeout, scratch=scratch)


def qemu_children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid=,comm="], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "qemu" in line]


@pytest.mark.parametrize("wrong", sorted(GOOD))
def test_every_fact_of_the_proof_must_hold(wrong):
    assert wrong_facts(GOOD, release=RELEASE, firmware="bios") == []
    assert wrong_facts({**GOOD, wrong: "other"}, release=RELEASE, firmware="bios")[0].startswith(f"{wrong}: expected")
    missing = {name: value for name, value in GOOD.items() if name != wrong}
    assert "found nothing" in wrong_facts(missing, release=RELEASE, firmware="bios")[0]


def test_a_disk_without_a_loader_fails_before_the_timeout(tmp_path):
    disk = disk_of(tmp_path, b"")
    run(["qemu-img", "create", "-f", "qcow2", disk, "1M"])
    with pytest.raises(BootFailed, match="not a bootable disk"):
        gate(disk, tmp_path, timeout=60)


def test_a_guest_that_hangs_fails_at_the_timeout_and_leaves_no_process(tmp_path):
    disk = disk_of(tmp_path, HANG)
    started = time.monotonic()
    with pytest.raises(BootFailed, match="time ran out"):
        gate(disk, tmp_path, timeout=3)
    assert time.monotonic() - started < 15
    assert qemu_children(os.getpid()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.qcow2", "disk.raw"]


def test_a_guest_that_falls_silent_is_powered_on_once_more_and_then_fails(tmp_path):
    # Sends its text, then halts: every power-on prints it once.
    disk = disk_of(tmp_path, PRINT, b"\r\nhello from the loader\r\n")
    heard: list[int] = []
    with pytest.raises(boot.FellSilent, match="silent for 3 s") as failure:
        boot_gate(
            disk,
            release=RELEASE,
            firmware="bios",
            accelerator=TCG,
            timeout=60,
            scratch=tmp_path,
            silence=3,
            progress=lambda stage, done, total: heard.append(done),
        )
    assert "hello from the loader" in failure.value.console_tail
    assert sum(later < earlier for earlier, later in pairwise(heard)) == 1
    assert qemu_children(os.getpid()) == []


def test_a_forged_proof_is_not_believed(tmp_path):
    forged = b"\r\nhyops-boot-proof " + b"0" * 64 + b" stage=final root=overlay firmware=bios\r\n"
    disk = disk_of(tmp_path, PRINT, forged)
    with pytest.raises(BootFailed, match="time ran out") as failure:
        gate(disk, tmp_path, timeout=5)
    assert "stage=final" in failure.value.console_tail


@pytest.mark.parametrize(
    "text",
    [
        "Kernel panic - not syncing: VFS",
        "(initramfs) ",
        "grub rescue> ",
        "You are in emergency mode",
        "Minimal BASH-like line editing is supported. For",
    ],
)
def test_a_known_failure_on_the_console_ends_the_wait(tmp_path, text):
    disk = disk_of(tmp_path, PRINT, b"\r\n\x1b[0m" + text.encode() + b"\r\n")
    with pytest.raises(BootFailed, match="the console shows") as failure:
        gate(disk, tmp_path, timeout=60)
    assert failure.value.why.split("'")[1] in text


def test_a_file_that_is_no_qcow2_says_what_qemu_said(tmp_path):
    disk = tmp_path / "disk.qcow2"
    disk.write_bytes(b"not a disk" * 100)
    with pytest.raises(BootFailed, match=r"QEMU ended with status 1: .*qcow2"):
        gate(disk, tmp_path)


def test_missing_uefi_firmware_names_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(boot, "_OVMF", ((tmp_path / "code", tmp_path / "vars"),))
    with pytest.raises(MissingFirmware, match="apt-get install ovmf"):
        gate(disk_of(tmp_path, HANG), tmp_path, firmware="uefi")


def test_a_cancelled_gate_leaves_no_process(tmp_path):
    class Cancelled(Exception):
        pass

    def cancel(stage: str, done: int, total: int | None) -> None:
        raise Cancelled

    disk = disk_of(tmp_path, PRINT, b"hello")
    with pytest.raises(Cancelled):
        boot_gate(
            disk, release=RELEASE, firmware="bios", accelerator=TCG, timeout=20, scratch=tmp_path, progress=cancel
        )
    assert qemu_children(os.getpid()) == []


def test_qemu_dies_with_a_gate_that_is_killed(tmp_path):
    disk = disk_of(tmp_path, PRINT, b"hello")
    program = (
        "import sys; from pathlib import Path\n"
        "from hyops_assets.image.boot.accelerator import Accelerator\n"
        "from hyops_assets.image.boot.gate import boot_gate\n"
        "boot_gate(Path(sys.argv[1]), release='x', firmware='bios', accelerator=Accelerator('tcg', 'test'),\n"
        "    timeout=300, scratch=Path(sys.argv[2]), progress=lambda *_: print('on', flush=True))"
    )
    argv = [sys.executable, "-c", program, disk, tmp_path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"on\n"
        (qemu,) = qemu_children(process.pid)
        watched = os.pidfd_open(qemu)
        process.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([watched], [], [], 60)
        os.close(watched)
    assert ended, f"QEMU {qemu} outlived its gate"


# --- the look-alike's disk --------------------------------------------------------------------------------------


@pytest.fixture
def damaged(lookalike_disk: Path, tmp_path: Path) -> Iterator["Damaged"]:
    copy = tmp_path / "damaged.raw"
    run(["cp", "--sparse=always", "--reflink=auto", lookalike_disk, copy])
    yield Damaged(copy)
    copy.unlink()


class Damaged:
    """A copy of the disk, to be spoiled through debugfs and booted."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw

    def debugfs(self, *lines: str) -> None:
        script = self.raw.with_suffix(".debugfs")
        script.write_text("".join(f"{line}\n" for line in lines))
        run(["debugfs", "-w", "-f", script, f"{self.raw}?offset={ROOT_SECTOR * 512}"])

    def read(self, path: str) -> str:
        return run(["debugfs", "-R", f"cat {path}", f"{self.raw}?offset={ROOT_SECTOR * 512}"]).text

    def write(self, path: str, text: str) -> None:
        new = self.raw.with_suffix(".new")
        new.write_text(text)
        self.debugfs(f"rm {path}", f"write {new} {path}")

    def boot(self, firmware: boot.Firmware = "bios") -> boot.BootProof:
        disk = self.raw.with_suffix(".qcow2")
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.raw, disk])
        return boot_gate(
            disk,
            release=LOOKALIKE_RELEASE,
            firmware=firmware,
            accelerator=probe(),
            timeout=TIMEOUT,
            scratch=self.raw.parent,
        )


@pytest.mark.slow
@pytest.mark.parametrize("firmware", boot.FIRMWARES)
def test_the_lookalike_boots_to_its_proof(lookalike_disk, tmp_path, firmware):
    disk = tmp_path / "disk.qcow2"
    qcow2.encode(lookalike_disk, disk)
    before = (disk.stat().st_size, disk.stat().st_mtime_ns)
    proof = boot_gate(
        disk, release=LOOKALIKE_RELEASE, firmware=firmware, accelerator=probe(), timeout=TIMEOUT, scratch=tmp_path
    )
    assert proof.report["upper"] == f"/boot/{LOOKALIKE_RELEASE}/rw"
    assert proof.report["firmware"] == firmware
    assert proof.seconds < TIMEOUT
    assert (disk.stat().st_size, disk.stat().st_mtime_ns) == before


@pytest.mark.slow
def test_a_disk_without_the_overlays_work_directory_fails(damaged):
    damaged.debugfs(f"rmdir /boot/{LOOKALIKE_RELEASE}/work/work")
    with pytest.raises(BootFailed, match="work/work is missing"):
        damaged.boot()


@pytest.mark.slow
def test_a_disk_whose_rw_is_elsewhere_fails(damaged):
    boot_directory = f"/boot/{LOOKALIKE_RELEASE}"
    damaged.debugfs(f"ln {boot_directory}/rw {boot_directory}/upper", f"unlink {boot_directory}/rw")
    with pytest.raises(BootFailed, match="rw is missing"):
        damaged.boot()


@pytest.mark.slow
@pytest.mark.parametrize("firmware", boot.FIRMWARES)
def test_a_disk_with_another_label_fails(damaged, firmware):
    damaged.debugfs("set_super_value volume_name other")
    with pytest.raises(BootFailed, match=r"(?s)Minimal BASH-like.*no such device: persistence"):
        damaged.boot(firmware)


@pytest.mark.slow
def test_a_disk_whose_default_entry_boots_another_release_fails(damaged):
    versions = "/boot/grub/grub.cfg.d/vyos-versions"
    entry = damaged.read(f"{versions}/{LOOKALIKE_RELEASE}.cfg")
    assert f"vyos-union=/boot/{LOOKALIKE_RELEASE}" in entry
    damaged.write(
        f"{versions}/{LOOKALIKE_RELEASE}.cfg",
        entry.replace(f"vyos-union=/boot/{LOOKALIKE_RELEASE}", "vyos-union=/boot/2020.01.01-0000-rolling"),
    )
    with pytest.raises(BootFailed, match=r"2020\.01\.01-0000-rolling\.squashfs is missing"):
        damaged.boot()


@pytest.mark.slow
def test_a_disk_whose_default_names_no_entry_fails_although_grub_falls_back(damaged):
    defaults = "/boot/grub/grub.cfg.d/20-vyos-defaults-autoload.cfg"
    text = damaged.read(defaults)
    damaged.write(
        defaults, re.sub('default="uuid5-[^"]*"', 'default="uuid5-00000000-0000-5000-8000-000000000000"', text)
    )
    with pytest.raises(BootFailed, match=r"default: expected .*, found none"):
        damaged.boot()
