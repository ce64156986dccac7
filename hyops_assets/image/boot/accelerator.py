"""Which accelerator QEMU can really use here. Found by running a guest, because `/dev/kvm` alone proves nothing.

Nested hypervisors are known that offer `/dev/kvm` and then refuse a processor register, run thirty times slower
than emulation, or hang a guest's kernel. Under emulation the processor's model is a choice of the same kind: with
QEMU's largest one a guest with VyOS' kernel was seen to stand still when systemd began, four times out of four, and
to run through with an older one.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.programs import ProgramFailed, find_program, run

QEMU = "qemu-system-x86_64"

_ARGUMENTS = {"kvm": ("-accel", "kvm", "-cpu", "host"), "tcg": ("-accel", "tcg,thread=multi,tb-size=192")}

MODELS = ("max,erms=off,fsrm=off,la57=off", "Nehalem")
"""Processors for emulation, the fastest first; the last is what x86-64-v2 asks for, without AVX.

QEMU's largest model without two things. ERMS and FSRM make kernel and C library copy by `rep movsb`, which an
emulator does byte by byte: systemd took 12 s of a processor to its first word, 3 s without. With LA57, an address is
looked up in five steps instead of four.
"""

_KVM_DEVICE = Path("/dev/kvm")
_EXIT_STATUS = 33
"""QEMU's status when a guest writes 0x10 to the isa-debug-exit port: (0x10 << 1) | 1."""

_BOOT_SECTOR = bytes.fromhex(
    # 16 bit, at 0x7c00: interrupts off, three pages of tables cleared at 0x1000
    "fa6631c08ed88ec0bf0010b9000cfc66f3ab"
    # tables map the first 2 MiB: PML4 -> PDPT -> one large page
    "c70600100320c70600200330c606003083"
    # CR4.PAE; CR3; EFER.LME
    "0f20e00c200f22e066b8001000000f22d866b9800000c00f3280cc010f30"
    # lgdt; CR0.PE and CR0.PG at once; far jump into 64 bit
    "660f0116787c0f20c0660d010000800f22c0ea587c0800"
    # 64 bit, at 0x7c58: on to 0x7c80
    "eb269090909090909090909090909090"
    # GDT (null, 64-bit code) at 0x7c68, and its pointer
    "000000000000000000000000009a20000f00687c00009090"
    # at 0x7c80: CPUID 1; CR0.MP, not EM; CR4.OSFXSR and OSXMMEXCPT; clear XMM0
    "b8010000000fa289ce0f20c024fb0c020f22c00f20e00d000600000f22e0660fefc0"
    # where CPUID says XSAVE: CR4.OSXSAVE, and switch x87, SSE and, where it says so, AVX on; then clear YMM0
    "0fbae61a73220d000004000f22e031c90f01d083c8030fbae61c730383c8040f01d17304c5fdefc0"
    # count down from 16 Mi; out 0xf4, 0x10; halt
    "b900000001ffc975fcb010e6f4f4ebfd"
)
"""A guest that enters long mode with paging, and switches on the vector units that its processor says it has, as a
kernel does, and ends QEMU: what firmware alone does not prove."""


@dataclass(frozen=True)
class Accelerator:
    """How QEMU runs a guest here, and why so. `model` is the processor that emulation shows; KVM shows the host's."""

    kind: Literal["kvm", "tcg"]
    reason: str
    model: str = MODELS[0]

    @property
    def qemu_arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for this accelerator: the same for the probe and for every guest after it."""
        return (*_ARGUMENTS[self.kind], *(("-cpu", self.model) if self.kind == "tcg" else ()))

    @property
    def processor(self) -> str:
        """The guest's processor, as evidence names it."""
        return self.model if self.kind == "tcg" else "host"

    @property
    def outlook(self) -> str:
        """What a person reads before the first boot. What QEMU said on trial stays in `reason`, for the evidence."""
        if self.kind == "kvm":
            return f"kvm: {self.reason}"
        return f"tcg: guests are emulated, each boot takes minutes: {self.reason.partition(':')[0]}"

    def modest(self) -> "Accelerator":
        """Return the same with the least demanding processor, for a guest that hung with this one."""
        return replace(self, model=MODELS[-1])

    @property
    def processors(self) -> int:
        """How many processors a guest is given: two under KVM, one under emulation.

        Two emulated ones wait for each other whenever the host has other work, and a kernel takes their time stamp
        counters for unsynchronized: its clock is then a device's register, which costs an emulator an exit per look.
        """
        return 2 if self.kind == "kvm" else 1


def probe(timeout: float = 2.0) -> Accelerator:
    """Return the fastest accelerator that ran a guest: KVM, else emulation.

    Args:
        timeout: seconds within which the guest must have ended under KVM. A working KVM takes 0.2 s.

    Raises:
        MissingProgram: QEMU is not installed.
    """
    find_program(QEMU)
    if not _KVM_DEVICE.exists():
        return _emulation(f"no {_KVM_DEVICE} on this machine")
    if not os.access(_KVM_DEVICE, os.R_OK | os.W_OK):
        return _emulation(f"{_KVM_DEVICE} is not open to this user")
    try:
        run_guest(Accelerator("kvm", "on trial"), timeout)
    except ProgramFailed as error:
        return _emulation(f"{_KVM_DEVICE} exists, but a guest did not run: {_one_line(error)}")
    return Accelerator("kvm", "a guest ran under KVM")


def _emulation(reason: str) -> Accelerator:
    model = emulated_model()
    shown = reason if model == MODELS[0] else f"{reason}; a guest ran with the processor {model} only"
    return Accelerator("tcg", shown, model)


@cache
def emulated_model(timeout: float = 30.0) -> str:
    """Return the fastest processor with which a guest ran under emulation here; asked once in a process.

    Where none did, the last: what is wrong is then QEMU itself, and the first guest shows it.

    Args:
        timeout: seconds within which the guest must have ended. It takes 1 s on an idle host.
    """
    for model in MODELS[:-1]:
        try:
            run_guest(Accelerator("tcg", "on trial", model), timeout)
        except ProgramFailed:
            continue
        return model
    return MODELS[-1]


def run_guest(accelerator: Accelerator, timeout: float) -> None:
    """Run the tiny guest under an accelerator to its end.

    Args:
        accelerator: what to try.
        timeout: seconds until it counts as hung.

    Raises:
        MissingProgram: QEMU is not installed.
        ProgramFailed: QEMU refused, crashed, or the guest did not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="hyops-probe-") as directory:
        disk = Path(directory) / "guest.img"
        disk.write_bytes(_BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa")
        # A disk of one sector has no cylinder, and firmware does not boot it.
        os.truncate(disk, 1 << 20)
        run(
            [
                *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
                *("-machine", "q35", *accelerator.qemu_arguments, "-m", "64"),
                *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
                *("-drive", f"if=none,id=guest,format=raw,snapshot=on,file={qemu_value(disk)}"),
                *("-device", "ide-hd,drive=guest"),
            ],
            env={"TMPDIR": directory},
            timeout=timeout,
            ok=(_EXIT_STATUS,),
        )


def qemu_value(path: Path) -> str:
    """Return a path as it stands in a QEMU option, where a comma is written twice."""
    return str(path).replace(",", ",,")


def _one_line(error: HyopsError) -> str:
    return " ".join(error.message.split())
