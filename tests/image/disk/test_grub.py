import os
import selectors
import shutil
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.disk.grub import GrubFailed, console_variables, default_entry, environment_block
from hyops_assets.image.programs import run, running
from tests.image.conftest import RELEASE

FIRMWARE = Path("/usr/share/OVMF")
SECONDS = 180.0


def test_the_default_entry_is_the_one_that_vyos_computes() -> None:
    assert default_entry("1.5-rolling-202410180006") == "uuid5-eda7b074-63d8-5016-8298-39e066d09443"


def test_the_environment_block_is_what_grub_editenv_reads(tmp_path: Path) -> None:
    block = tmp_path / "grubenv"
    block.write_bytes(environment_block())
    run(["grub-editenv", block, "set", "saved=1"])
    assert run(["grub-editenv", block, "list"]).text == "saved=1\n"
    assert block.stat().st_size == 1024


@pytest.mark.parametrize(("console", "kind", "number"), [("ttyS0", "ttyS", "0"), ("tty0", "tty", "0")])
def test_a_console_is_told_to_the_menu_in_parts(console: str, kind: str, number: str) -> None:
    assert console_variables(console) == {"console_type": kind, "console_num": number, "console_speed": "115200"}


@pytest.mark.parametrize("console", ["hvc0", "ttyS", "", "ttyS0,9600"])
def test_an_unknown_console_is_refused(console: str) -> None:
    with pytest.raises(GrubFailed, match="is no console"):
        console_variables(console)


@pytest.fixture
def disk(built: tuple[Path, BuiltDisk], tmp_path: Path) -> Path:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    return tmp_path / "disk.raw"


def serial_until(disk: Path, firmware: str, *awaited: bytes) -> bytes:
    """Start a disk under emulation and return what its serial console printed up to one of the awaited texts."""
    argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nic", "none"]
    argv += ["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"]
    argv += ["-drive", f"file={disk},format=raw,if=virtio"]
    if firmware == "uefi":
        variables = disk.with_name("variables.fd")
        shutil.copyfile(FIRMWARE / "OVMF_VARS_4M.fd", variables)
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE / 'OVMF_CODE_4M.fd'}"]
        argv += ["-drive", f"if=pflash,format=raw,file={variables}"]
    printed = b""
    deadline = time.monotonic() + SECONDS
    with running(argv, stdout=PIPE) as qemu, selectors.DefaultSelector() as selector:
        assert qemu.stdout is not None
        selector.register(qemu.stdout, selectors.EVENT_READ)
        while not any(text in printed for text in awaited):
            assert selector.select(deadline - time.monotonic()), printed[-2000:]
            chunk = os.read(qemu.stdout.fileno(), 65536)
            assert chunk, printed[-2000:]
            printed += chunk
    return printed


@pytest.mark.slow
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_grub_starts_the_default_entry_by_itself(firmware: str, disk: Path) -> None:
    """Up to the kernel, which the miniature lacks: that it boots is seen on the look-alike."""
    printed = serial_until(disk, firmware, b"you need to load the kernel first")
    assert f"Loading {RELEASE}".encode() in printed
    assert b"invalid magic number" in printed
    assert b"not found" not in printed


@pytest.mark.slow
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_disk_without_the_label_shows_its_prompt_on_the_serial_console(firmware: str, disk: Path) -> None:
    root = read_table(disk).partitions[2]
    run(["debugfs", "-w", "-R", "set_super_value volume_name other", f"{disk}?offset={root.offset}"])
    printed = serial_until(disk, firmware, b"grub>", b"grub rescue>")
    assert b"no such device: persistence" in printed
