import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from hyops_assets.image.boot import gate as boot
from hyops_assets.image.boot.accelerator import MODELS, Accelerator, probe
from hyops_assets.image.boot.gate import BootFailed, MissingFirmware, booting
from hyops_assets.image.boot.together import alone
from hyops_assets.image.boot.verdict import Firmware
from hyops_assets.image.programs import run
from hyops_assets.settings.build import BuildSettings
from tests.boots import turn_to_boot
from tests.conftest import LOOKALIKE_RELEASE
from tests.image.boot import damage
from tests.image.boot.damage import SpoiledDisk

pytestmark = pytest.mark.seconds

TCG = Accelerator("tcg", "test")
HANG = bytes.fromhex("faf4ebfd")
# Sends the text at 0x7c40 to the serial port, then halts.
PRINT = bytes.fromhex("31c08ed8be407cbaf803ac84c07403eeebf8f4ebfd")
# Sends the letter x to the serial port for ever, in one line.
PRINT_FOR_EVER = bytes.fromhex("baf803b078eeebfd")
RELEASE = "2026.03.03-0027-rolling"
TIMEOUT = 600


def disk_of(directory: Path, code: bytes, text: bytes = b"") -> Path:
    """A qcow2 whose boot sector is `code`, with a text at its 64th byte."""
    raw = directory / "disk.raw"
    raw.write_bytes((code.ljust(64, b"\0") + text).ljust(510, b"\0") + b"\x55\xaa")
    os.truncate(raw, 1 << 20)
    run(["qemu-img", "convert", "-O", "qcow2", raw, directory / "disk.qcow2"])
    return directory / "disk.qcow2"


def gate(disk: Path, scratch: Path, *, timeout: float = 20, firmware: Firmware = "bios") -> boot.BootProof:
    return alone(booting(disk, release=RELEASE, firmware=firmware, accelerator=TCG, timeout=timeout, scratch=scratch))


def qemu_children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid=,comm="], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "qemu" in line]


def test_a_guest_that_hangs_fails_at_the_timeout_and_leaves_no_process(tmp_path):
    disk = disk_of(tmp_path, HANG)
    with pytest.raises(BootFailed, match="time ran out"):
        gate(disk, tmp_path, timeout=3)
    assert qemu_children(os.getpid()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.qcow2", "disk.raw"]


def test_a_guest_that_prints_without_end_fails_at_the_timeout_and_only_its_last_part_is_kept(tmp_path, monkeypatch):
    printed_bytes: list[int] = []
    kept: list[int] = []
    add = boot._Console.add

    def noted(console, printed):
        add(console, printed)
        printed_bytes.append(len(printed))
        kept.append(len(console.text))

    monkeypatch.setattr(boot._Console, "add", noted)
    with pytest.raises(BootFailed, match="time ran out"):
        gate(disk_of(tmp_path, PRINT_FOR_EVER), tmp_path, timeout=3)
    assert sum(printed_bytes) > max(kept)
    assert max(kept) <= boot._KEPT_CHARACTERS + boot._LONGEST_LINE_BYTES


def test_a_guest_that_falls_silent_is_powered_on_once_more_and_then_fails(tmp_path):
    # Sends its text, then halts: every power-on prints it once.
    disk = disk_of(tmp_path, PRINT, b"\r\nhello from the loader\r\n")
    heard: list[int] = []
    with pytest.raises(boot.FellSilent, match="silent for 3 s") as failure:
        alone(
            booting(
                disk,
                release=RELEASE,
                firmware="bios",
                accelerator=TCG,
                timeout=60,
                scratch=tmp_path,
                silence=3,
                progress=lambda stage, done, total: heard.append(done),
            )
        )
    assert "hello from the loader" in failure.value.console_tail
    assert sum(later < earlier for earlier, later in pairwise(heard)) == 1
    assert qemu_children(os.getpid()) == []


def test_a_guest_has_no_less_memory_than_vyos_documents(tmp_path):
    argv = boot._qemu_arguments(tmp_path / "disk", tmp_path / "seed", "bios", TCG, tmp_path)
    assert int(argv[argv.index("-m") + 1]) >= 1024
    with pytest.raises(ValidationError):
        BuildSettings(boot_memory_mib=768)


def test_the_second_power_on_has_the_most_modest_processor(tmp_path, monkeypatch):
    used = []

    def powered_on(argv: list[str], own: Path) -> object:
        used.append(argv[argv.index("-cpu") + 1])
        raise boot.FellSilent("bios", "silent", "")

    monkeypatch.setattr(boot, "_powered_on", powered_on)
    with pytest.raises(boot.FellSilent):
        gate(disk_of(tmp_path, HANG), tmp_path)
    assert used == list(MODELS)


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
        alone(
            booting(
                disk, release=RELEASE, firmware="bios", accelerator=TCG, timeout=20, scratch=tmp_path, progress=cancel
            )
        )
    assert qemu_children(os.getpid()) == []


def test_qemu_dies_with_a_gate_that_is_killed(tmp_path):
    disk = disk_of(tmp_path, PRINT, b"hello")
    program = (
        "import sys; from pathlib import Path\n"
        "from hyops_assets.image.boot.accelerator import Accelerator\n"
        "from hyops_assets.image.boot.gate import booting\n"
        "from hyops_assets.image.boot.together import alone\n"
        "alone(booting(Path(sys.argv[1]), release='x', firmware='bios', accelerator=Accelerator('tcg', 'test'),\n"
        "    timeout=300, scratch=Path(sys.argv[2]), progress=lambda *_: print('on', flush=True)))"
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


# --- the look-alike's disk: that a console's end is read from a live guest; what consoles say is `test_verdict` -----


def boot_spoiled(harm: Callable[[SpoiledDisk], None], disk: Path, scratch: Path) -> None:
    spoiled = SpoiledDisk(disk, scratch)
    harm(spoiled)
    with turn_to_boot():
        alone(
            booting(
                spoiled.as_qcow2(),
                release=LOOKALIKE_RELEASE,
                firmware="bios",
                accelerator=probe(),
                timeout=TIMEOUT,
                scratch=scratch,
            )
        )


@pytest.mark.slow
def test_a_disk_that_fails_in_its_loader_is_refused_once_the_loader_says_so(lookalike_disk, tmp_path):
    with pytest.raises(BootFailed, match=r"Minimal BASH-like .* after 'error: no such device: persistence"):
        boot_spoiled(damage.other_label, lookalike_disk, tmp_path)


@pytest.mark.slow
def test_a_disk_that_fails_in_its_initrd_is_refused_once_the_initrd_says_so(lookalike_disk, tmp_path):
    with pytest.raises(BootFailed, match=r"\(initramfs\)' after '.*work/work is missing"):
        boot_spoiled(damage.no_work_directory, lookalike_disk, tmp_path)
