"""The boot gate: a disk boots in QEMU, BIOS or UEFI, until cloud-init's last stage proves where it runs.

The disk is opened read-only; what the guest writes goes into a temporary layer that QEMU throws away. Nothing waits
for a fixed time: the serial console is read until the proof, a known failure, or the timeout.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from pydantic import JsonValue

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import POWER_ON, Progress, silent
from hyops_assets.contract.quantity import quantity
from hyops_assets.image.boot.accelerator import QEMU, Accelerator, qemu_value
from hyops_assets.image.boot.nocloud import Challenge, write_seed
from hyops_assets.image.boot.together import Pause, Paused
from hyops_assets.image.boot.verdict import Failed, Firmware, Proven, verdict
from hyops_assets.image.console import console_tail, plain
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import find_program, running

MEMORY_MIB = 1024
"""Of the guest, unless more is asked for: what VyOS documents as its minimum. What boots with less proves nothing."""
_OVMF = (
    (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd")),
)
SILENCE_SECONDS = 150.0
"""Several times what a sound guest's longest pause takes under emulation on a loaded host (44 s was seen)."""
_READ_BYTES = 1 << 12
_RECENT_CHARACTERS = 2 * _READ_BYTES
_KEPT_CHARACTERS = 1 << 16
_LONGEST_LINE_BYTES = 1 << 14
_QEMU_LOG = "qemu.log"


class MissingFirmware(HyopsError):
    """The UEFI firmware for QEMU is not installed."""

    def __init__(self) -> None:
        places = ", ".join(str(code) for code, _ in _OVMF)
        super().__init__(f"no UEFI firmware for QEMU (looked for {places})", hint="apt-get install ovmf")


class BootFailed(HyopsError):
    """A disk did not boot to a valid proof. The message ends with the console's last lines."""

    def __init__(self, firmware: Firmware, why: str, console: str) -> None:
        self.why = why
        self.console_tail = console_tail(console)
        super().__init__(
            f"the disk did not boot under {firmware.upper()}: {why}\nconsole, last lines:\n{self.console_tail}",
            hint="read the console's last lines; a slow machine needs a larger build.boot_timeout_seconds",
        )


class FellSilent(BootFailed):
    """The console printed nothing for too long, although the guest had time left."""


@dataclass(frozen=True)
class BootProof:
    """A guest's proof. `seconds` is from power-on to the proof, `report` the proven facts and the disk's digest."""

    firmware: Firmware
    accelerator: Accelerator
    seconds: float
    console_tail: str
    report: dict[str, JsonValue]


def booting(
    qcow2: Path,
    *,
    release: str,
    firmware: Firmware,
    accelerator: Accelerator,
    timeout: float,
    scratch: Path,
    memory_mib: int = MEMORY_MIB,
    silence: float = SILENCE_SECONDS,
    progress: Progress = silent,
) -> Paused[BootProof]:
    """Boot a disk and return its proof that cloud-init's last stage ran from the release's overlay root.

    What counts as a proof and what as a failure is read by `verdict`. A guest that falls silent is powered on once
    more, and the report says so; under emulation, with the most modest processor: sound disks were seen to hang there,
    once in some twenty boots a second into the kernel, and one whenever it had the largest processor. A disk that is
    at fault falls silent again.

    Args:
        qcow2: the disk; it is not changed, which is verified.
        release: the release whose `/boot/<release>` must be the running root.
        firmware: `bios` (SeaBIOS) or `uefi` (OVMF with variables of its own).
        accelerator: from `accelerator.probe`.
        timeout: seconds from power-on until the proof must have been printed.
        scratch: directory for the guest's writes and the console's log, all removed at the end.
        memory_mib: the guest's memory in MiB.
        silence: seconds without a byte on the console after which the guest counts as hung.
        progress: called as a guest is powered on, in a stage that says under what and for how long, then with the
            bytes that the console printed, as stage `boot bios` or `boot uefi`.

    Raises:
        BootFailed: a failure on the console, a wrong proof, QEMU ended, or the time ran out.
        MissingProgram: QEMU or xorriso is not installed.
        MissingFirmware: OVMF is not installed.
    """
    before = sha256_of_file(qcow2)
    challenge = Challenge()
    with tempfile.TemporaryDirectory(dir=scratch, prefix=f"boot-{firmware}.") as name:
        own = Path(name)
        seed = write_seed(own / "seed.iso", challenge)

        def judged(console: str) -> Proven | Failed | None:
            return verdict(console, challenge, release=release, firmware=firmware)

        def power_on(count: int, used: Accelerator) -> Paused[_Booted]:
            argv = _qemu_arguments(qcow2, seed, firmware, used, own, memory_mib)
            started = time.monotonic()
            console = _Console(firmware, progress)
            watch = _Watch(started + timeout, silence, own / _QEMU_LOG)
            with _powered_on(argv, own) as process:
                progress(_announced(firmware, used, timeout, count), 0, None)
                proven = yield from _await_proof(process, judged, console, watch)
            return _Booted(proven.facts, console.text, time.monotonic() - started, count, used)

        try:
            booted = yield from power_on(1, accelerator)
        except FellSilent:
            booted = yield from power_on(2, accelerator.modest())
    if sha256_of_file(qcow2) != before:
        raise BootFailed(firmware, f"{qcow2.name} was changed while it was booted", booted.console)
    report: dict[str, JsonValue] = {
        "disk_sha256": before,
        "power_ons": booted.power_ons,
        "processor": booted.accelerator.processor,
        "memory_mib": memory_mib,
        **booted.facts,
    }
    return BootProof(firmware, booted.accelerator, booted.seconds, console_tail(booted.console), report)


def _announced(firmware: Firmware, used: Accelerator, timeout: float, count: int) -> str:
    """Return what a person reads as a guest is powered on: under what, about how long, and when it is given up."""
    how = "by KVM, about a minute" if used.kind == "kvm" else "emulated (tcg), usually 1 to 5 minutes"
    again = ", once more after it fell silent" if count > 1 else ""
    limit = quantity(round(timeout / 60), "minute")
    return f"{POWER_ON}the disk under {firmware.upper()}{again}: {how}, given up after {limit}"


@dataclass(frozen=True)
class _Booted:
    """A guest that proved itself: its facts, its console, how long it took, at which power-on, and under what."""

    facts: dict[str, str]
    console: str
    seconds: float
    power_ons: int
    accelerator: Accelerator


class _Console:
    """The last part of what a guest printed, as plain text: it may print without end."""

    def __init__(self, firmware: Firmware, progress: Progress) -> None:
        self.firmware: Firmware = firmware
        self.text = ""
        self._lines = ""
        self._open_line = b""
        self._bytes = 0
        self._progress = progress

    @property
    def recent(self) -> str:
        """The last part, in which the newest proof or failure stands: searching all of it each time is quadratic."""
        return self.text[-_RECENT_CHARACTERS:]

    def add(self, printed: bytes) -> None:
        """Append what was read. The open line is read anew, since a control sequence may be cut anywhere."""
        ended, newline, self._open_line = (self._open_line + printed).rpartition(b"\n")
        if len(self._open_line) > _LONGEST_LINE_BYTES:
            ended, newline, self._open_line = ended + newline + self._open_line, b"", b""
        self._lines = (self._lines + plain(ended + newline))[-_KEPT_CHARACTERS:]
        self.text = self._lines + plain(self._open_line)
        self._bytes += len(printed)
        self._progress(f"boot {self.firmware}", self._bytes, None)


@contextmanager
def _powered_on(argv: list[str], own: Path) -> Iterator[Popen[bytes]]:
    """Run QEMU; whatever ends this process, QEMU ends with it."""
    # TMPDIR: the layer that takes the guest's writes belongs in the scratch directory, not in /var/tmp.
    environment = {"TMPDIR": str(own)}
    with (own / _QEMU_LOG).open("wb") as log, running(argv, env=environment, stderr=log) as process:
        yield process


@dataclass(frozen=True)
class _Watch:
    """How long a guest is waited for: until `deadline` in all, `silence` seconds without a byte; and QEMU's log."""

    deadline: float
    silence: float
    log: Path

    def patience(self) -> float:
        """Return how many seconds the next byte may take."""
        return max(0.0, min(self.deadline - time.monotonic(), self.silence))


def _await_proof(
    process: Popen[bytes], judged: Callable[[str], Proven | Failed | None], console: _Console, watch: _Watch
) -> Paused[Proven]:
    if process.stdout is None:
        raise AssertionError
    descriptor, late_bytes = process.stdout.fileno(), 0
    while (yield Pause(watch.patience(), descriptor)):
        printed = os.read(descriptor, _READ_BYTES)
        if not printed:
            why = f"QEMU ended with status {process.wait()}: {watch.log.read_text(errors='replace').strip()}"
            raise BootFailed(console.firmware, why, console.text)
        console.add(printed)
        found = judged(console.recent)
        if isinstance(found, Proven):
            return found
        if isinstance(found, Failed):
            raise BootFailed(console.firmware, found.why, console.text)
        # What stands in the pipe by then counts; a guest that goes on for ever does not.
        late_bytes += len(printed) if time.monotonic() >= watch.deadline else 0
        if late_bytes > _KEPT_CHARACTERS:
            break
    if time.monotonic() < watch.deadline:
        raise FellSilent(console.firmware, f"the console was silent for {watch.silence:.0f} s", console.text)
    raise BootFailed(console.firmware, "no proof before the time ran out", console.text)


def _qemu_arguments(
    qcow2: Path, seed: Path, firmware: Firmware, accelerator: Accelerator, own: Path, memory_mib: int = MEMORY_MIB
) -> list[str]:
    disk = f"if=none,id=disk,format=qcow2,snapshot=on,file={qemu_value(qcow2)}"
    return [
        # The kernel ends QEMU when this process dies, even by SIGKILL.
        *("setpriv", "--pdeathsig", "KILL", find_program(QEMU), "-nodefaults", "-no-user-config", "-no-reboot"),
        # graphics=off: SeaBIOS shows on the serial port too what it and GRUB's rescue prompt write to the screen.
        # Without the HPET: a guest that hung had just made it its clock, with QEMU's main loop at full load.
        *("-machine", "q35,graphics=off,hpet=off", *accelerator.qemu_arguments),
        *("-smp", str(accelerator.processors), "-m", str(memory_mib)),
        *("-display", "none", "-vga", "std", "-nic", "none"),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"),
        # virtio-scsi on both clouds: Hetzner's servers have it, and Proxmox VE's templates are given it.
        *("-device", "virtio-scsi-pci,id=scsi", "-drive", disk, "-device", "scsi-hd,drive=disk,bootindex=0"),
        *("-drive", f"if=none,id=seed,format=raw,readonly=on,file={qemu_value(seed)}"),
        *("-device", "scsi-cd,drive=seed"),
        *(_uefi_arguments(own) if firmware == "uefi" else ()),
    ]


def find_uefi_firmware() -> tuple[Path, Path]:
    """Return the UEFI firmware for QEMU on this host: its code, and its variables to be copied.

    Raises:
        MissingFirmware: it is not installed.
    """
    for code, variables in _OVMF:
        if code.exists() and variables.exists():
            return code, variables
    raise MissingFirmware


def _uefi_arguments(own: Path) -> list[str]:
    code, variables = find_uefi_firmware()
    private = own / "uefi-variables.fd"
    shutil.copyfile(variables, private)
    return [
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={qemu_value(code)}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={qemu_value(private)}"),
    ]
