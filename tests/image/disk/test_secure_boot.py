"""Secure Boot, enforced by real firmware: shim and GRUB signed by Debian, the kernel too, as a look-alike has them.

Where Secure Boot is off, the same disk boots under both firmwares: its gates prove that (tests/cli/test_demo.py).
"""

from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.esp import MTOOLS, REMOVABLE_LOADER
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE
from tests.image.disk.machine import serial_until

ROOT_IS_UP = f"vyos-union: /boot/{LOOKALIKE_RELEASE} is the root".encode()
ENFORCED = (b"secureboot: Secure boot enabled", b"Kernel is locked down from EFI Secure Boot")
GRUB_PROMPT = b"Minimal BASH-like line editing"

pytestmark = pytest.mark.slow


@pytest.fixture
def own_copy(lookalike_disk: Path, tmp_path: Path) -> Path:
    run(["cp", "--sparse=always", "--reflink=auto", lookalike_disk, tmp_path / "disk.raw"])
    return tmp_path / "disk.raw"


@pytest.mark.parametrize(
    "last",
    [
        # The kernel was verified and is locked; how the root is then mounted, gates see (tests/cli/test_demo.py).
        pytest.param(b"Run /init as init process", id="to its initrd"),
        pytest.param(ROOT_IS_UP, id="to its root", marks=pytest.mark.long),
    ],
)
def test_a_signed_disk_starts_under_secure_boot(lookalike_disk: Path, last: bytes) -> None:
    printed = serial_until(lookalike_disk, "secure boot", last, GRUB_PROMPT)
    assert last in printed
    assert all(text in printed for text in ENFORCED)
    # Everything that the menu loads is in the signed GRUB: a module from the disk would be unsigned.
    assert b"prohibited by secure boot policy" not in printed


def test_firmware_refuses_an_unsigned_grub(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    printed = serial_until(tmp_path / "disk.raw", "secure boot", b"Access Denied", b"Welcome to GRUB")
    assert b"Access Denied" in printed


def test_firmware_refuses_a_shim_that_was_changed(own_copy: Path) -> None:
    esp = f"{own_copy}@@{read_table(own_copy).partitions[1].offset}"
    shim = own_copy.with_name("shim")
    run(["mcopy", "-i", esp, f"::/{REMOVABLE_LOADER}", shim], env=MTOOLS)
    changed = bytearray(shim.read_bytes())
    changed[len(changed) // 2] ^= 1
    shim.write_bytes(changed)
    run(["mcopy", "-o", "-i", esp, shim, f"::/{REMOVABLE_LOADER}"], env=MTOOLS)
    printed = serial_until(own_copy, "secure boot", b"Access Denied", b"Welcome to GRUB")
    assert b"Access Denied" in printed


def test_grub_refuses_an_unsigned_kernel(own_copy: Path) -> None:
    device = f"{own_copy}?offset={read_table(own_copy).partitions[2].offset}"
    kernel, path = own_copy.with_name("vmlinuz"), f"/boot/{LOOKALIKE_RELEASE}/vmlinuz"
    run(["debugfs", "-R", f"dump {path} {kernel}", device])
    changed = bytearray(kernel.read_bytes())
    changed[len(changed) // 2] ^= 1
    kernel.write_bytes(changed)
    (own_copy.parent / "script").write_text(f"rm {path}\nwrite {kernel} {path}\n")
    run(["debugfs", "-w", "-f", own_copy.parent / "script", device])
    printed = serial_until(own_copy, "secure boot", b"bad shim signature", b"Linux version", GRUB_PROMPT)
    assert b"bad shim signature" in printed
