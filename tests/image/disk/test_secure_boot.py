"""Secure Boot, enforced by real firmware: shim and GRUB signed by Debian, the kernel too, as a look-alike has them."""

from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.esp import MTOOLS, REMOVABLE_LOADER
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.disk.tree import Tree
from hyops_assets.image.intake.iso import open_iso
from hyops_assets.image.methods.native import build_native
from hyops_assets.image.programs import run
from tests.conftest import LOOKALIKE_RELEASE
from tests.image.disk.machine import Machine, serial_until

ROOT_IS_UP = f"vyos-union: /boot/{LOOKALIKE_RELEASE} is the root".encode()
ENFORCED = (b"secureboot: Secure boot enabled", b"Kernel is locked down from EFI Secure Boot")
GRUB_PROMPT = b"Minimal BASH-like line editing"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def signed(lookalike: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a look-alike without its overlay: what is signed does not depend on it."""
    directory = tmp_path_factory.mktemp("signed")
    opened = open_iso(lookalike, release=LOOKALIKE_RELEASE, scratch=directory)
    disk = directory / "disk.raw"
    build_native(opened, Tree(), disk_bytes=1 << 30, console="ttyS0", destination=disk, scratch=directory)
    return disk


@pytest.fixture
def own_copy(signed: Path, tmp_path: Path) -> Path:
    run(["cp", "--sparse=auto", signed, tmp_path / "disk.raw"])
    return tmp_path / "disk.raw"


def test_a_signed_disk_starts_under_secure_boot(signed: Path) -> None:
    printed = serial_until(signed, "secure boot", ROOT_IS_UP, GRUB_PROMPT)
    assert ROOT_IS_UP in printed
    assert all(text in printed for text in ENFORCED)
    # Everything that the menu loads is in the signed GRUB: a module from the disk would be unsigned.
    assert b"prohibited by secure boot policy" not in printed


@pytest.mark.parametrize("machine", ["bios", "uefi"])
def test_a_signed_disk_starts_without_secure_boot_as_well(machine: Machine, signed: Path) -> None:
    printed = serial_until(signed, machine, ROOT_IS_UP, GRUB_PROMPT)
    assert ROOT_IS_UP in printed
    assert not any(text in printed for text in ENFORCED)


def test_firmware_refuses_a_grub_that_nobody_signed(built: tuple[Path, BuiltDisk], tmp_path: Path) -> None:
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


def test_grub_refuses_a_kernel_that_nobody_signed(own_copy: Path) -> None:
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
