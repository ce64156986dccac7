"""A machine that starts a disk under emulation, so that a test reads what its serial console prints."""

import os
import selectors
import shutil
import tempfile
import time
from pathlib import Path
from subprocess import PIPE
from typing import Literal

from hyops_assets.image.boot.accelerator import Accelerator, emulated_model
from hyops_assets.image.boot.gate import MEMORY_MIB
from hyops_assets.image.programs import running
from tests.boots import turn_to_boot

Machine = Literal["bios", "uefi", "secure boot"]
"""`secure boot`: UEFI with Microsoft's keys enrolled, whose variables only the firmware itself may write."""

SECONDS = 600.0
_FIRMWARE = Path("/usr/share/OVMF")
_UEFI: dict[Machine, tuple[str, str]] = {
    "uefi": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "secure boot": ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd"),
}


def serial_until(disk: Path, machine: Machine, *awaited: bytes) -> bytes:
    """Start a disk and return what its serial console printed up to one of the awaited texts. The disk stays as it is.

    Raises:
        AssertionError: none of them came in time; it shows the last lines.
    """
    printed = b""
    with (
        turn_to_boot(),
        tempfile.TemporaryDirectory(prefix="machine.") as own,
        running(["setpriv", "--pdeathsig", "KILL", *_qemu(disk, machine, Path(own))], stdout=PIPE) as qemu,
        selectors.DefaultSelector() as selector,
    ):
        assert qemu.stdout is not None
        selector.register(qemu.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + SECONDS
        while not any(text in printed for text in awaited):
            assert selector.select(deadline - time.monotonic()), printed[-2000:]
            chunk = os.read(qemu.stdout.fileno(), 65536)
            assert chunk, printed[-2000:]
            printed += chunk
    return printed


def _qemu(disk: Path, machine: Machine, own: Path) -> list[str]:
    secure = machine == "secure boot"
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none"]
    argv += ["-machine", f"q35,graphics=off,hpet=off,smm={'on' if secure else 'off'}", "-vga", "std"]
    # Emulated, whatever this host has: firmware and loader are what is looked at, not speed.
    emulated = Accelerator("tcg", "test", emulated_model())
    argv += [*emulated.qemu_arguments, "-smp", str(emulated.processors), "-m", str(MEMORY_MIB)]
    argv += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    argv += ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk,bootindex=0"]
    argv += ["-drive", f"if=none,id=disk,format=raw,snapshot=on,file={disk}"]
    if machine in _UEFI:
        code, variables = (_FIRMWARE / name for name in _UEFI[machine])
        shutil.copyfile(variables, own / "variables.fd")
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
        argv += ["-drive", f"if=pflash,unit=1,format=raw,file={own / 'variables.fd'}"]
    if secure:
        argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    return argv
