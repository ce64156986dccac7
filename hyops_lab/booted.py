"""Booting what a stand-in holds: the disk of a snapshot or template, in QEMU, with a cloud-init seed beside it.

The disk is only read: the guest writes into a layer that is thrown away. The seed is a NoCloud drive, as Proxmox VE
attaches one; it stands in for Hetzner's metadata service, which no loopback can offer to a guest.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.image.boot.accelerator import probe
from hyops_assets.image.boot.gate import BootProof, booting
from hyops_assets.image.boot.together import alone
from hyops_assets.image.boot.verdict import Firmware
from hyops_assets.image.programs import run

BOOT_SECONDS = 900.0
"""Under emulation, on a host that has other work, a boot takes minutes."""


class NothingToBoot(HyopsError):
    """The stand-in holds no such disk."""


def boot_disk(
    disk: Path,
    *,
    release: str,
    scratch: Path,
    disk_format: Literal["raw", "qcow2"] = "raw",
    firmware: Firmware = "bios",
    timeout: float = BOOT_SECONDS,
    progress: Progress = silent,
) -> BootProof:
    """Boot a disk to the end of cloud-init, and return what the guest proved: its facts, and its console's last lines.

    The report's `disk_sha256` is left out: what boots is an empty layer over the disk, and its digest names nothing.

    Args:
        disk: the file that a stand-in keeps; it is not changed.
        release: that must be running in the end.
        scratch: directory for what the guest writes; nothing is left there.
        disk_format: of the file.
        firmware: `bios`, as Hetzner's servers mostly have, or `uefi`.
        timeout: seconds from power-on until the guest must have proved itself.
        progress: called with the bytes that the console printed.

    Raises:
        NothingToBoot: there is no such file.
        BootFailed: the guest did not get there.
        MissingProgram: QEMU, qemu-img or xorriso is not installed.
    """
    if not disk.is_file():
        raise NothingToBoot(f"the lab holds no disk {disk.name}", hint="seed a record there first")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="booted.") as room:
        layer = Path(room) / "layer.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk.resolve(), "-F", disk_format, layer])
        proof = alone(
            booting(
                layer,
                release=release,
                firmware=firmware,
                accelerator=probe(),
                timeout=timeout,
                scratch=Path(room),
                progress=progress,
            )
        )
    facts = {name: fact for name, fact in proof.report.items() if name != "disk_sha256"}
    return replace(proof, report=facts)
