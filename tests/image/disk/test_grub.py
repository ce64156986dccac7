from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.gpt import read_table
from hyops_assets.image.disk.grub import GrubFailed, console_variables, default_entry, environment_block
from hyops_assets.image.programs import run
from tests.image.conftest import RELEASE
from tests.image.disk.machine import Machine, serial_until


def test_the_default_entry_is_the_one_that_vyos_computes() -> None:
    assert default_entry("1.5-rolling-202410180006") == "uuid5-eda7b074-63d8-5016-8298-39e066d09443"


def test_the_environment_block_is_what_grub_editenv_reads(tmp_path: Path) -> None:
    block = tmp_path / "grubenv"
    block.write_bytes(environment_block())
    run(["grub-editenv", block, "set", "saved=1"])
    assert run(["grub-editenv", block, "list"]).text == "saved=1\n"
    assert block.stat().st_size == 1024


@pytest.mark.parametrize(("console", "kind", "number"), [("ttyS0", "ttyS", "0"), ("tty0", "tty", "0")])
def test_the_menu_is_given_a_console_in_parts(console: str, kind: str, number: str) -> None:
    assert console_variables(console) == {"console_type": kind, "console_num": number, "console_speed": "115200"}


@pytest.mark.parametrize("console", ["hvc0", "ttyS", "", "ttyS0,9600"])
def test_an_unknown_console_is_refused(console: str) -> None:
    with pytest.raises(GrubFailed, match="is no console"):
        console_variables(console)


@pytest.fixture
def disk(built: tuple[Path, BuiltDisk], tmp_path: Path) -> Path:
    run(["cp", "--sparse=auto", built[0], tmp_path / "disk.raw"])
    return tmp_path / "disk.raw"


@pytest.mark.slow
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_grub_starts_the_default_entry_by_itself(firmware: Machine, disk: Path) -> None:
    """Up to the kernel, which the miniature lacks: that it boots is seen on the look-alike."""
    printed = serial_until(disk, firmware, b"you need to load the kernel first")
    assert f"Loading {RELEASE}".encode() in printed
    assert b"invalid magic number" in printed
    assert b"not found" not in printed


@pytest.mark.slow
def test_a_disk_without_the_label_shows_its_prompt_on_the_serial_console_under_uefi(disk: Path) -> None:
    """Under BIOS as well: tests/image/boot/test_gate.py boots such a disk."""
    root = read_table(disk).partitions[2]
    run(["debugfs", "-w", "-R", "set_super_value volume_name other", f"{disk}?offset={root.offset}"])
    printed = serial_until(disk, "uefi", b"grub>", b"grub rescue>")
    assert b"no such device: persistence" in printed
