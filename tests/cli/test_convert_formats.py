"""What `hyops convert` and `inspect` take for a disk: a format is known or named, never assumed."""

import bz2
import gzip
import os
import subprocess
from pathlib import Path

import pytest

from hyops_assets.cli.convert import BadConversion, convert
from hyops_assets.cli.inspect import NOT_ASKED, InspectOptions, run_inspect
from hyops_assets.image.variants.disk_source import ForeignFormat

DISK = (b"HYOPS" * 1024).ljust(1 << 20, b"\0")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(DISK)
    return path


def foreign(raw: Path, kind: str) -> Path:
    """The disk in a format that is none of ours, under a name that says nothing."""
    made = raw.with_name("d")
    packed = {"gz": gzip.compress, "bz2": bz2.compress, "html": lambda _: b"<!DOCTYPE html><title>404</title>"}
    if kind in packed:
        made.write_bytes(packed[kind](DISK))
        return made
    if kind == "zst":
        subprocess.run(["zstd", "-q", raw, "-o", made], check=True)
        return made
    options = ["-o", "subformat=fixed,force_size=on"] if kind == "vpc" else []
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw, made], check=True)
    return made


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vhdx", "vpc", "qed", "gz", "zst", "bz2", "html"])
def test_a_disk_of_a_foreign_format_is_refused_by_its_name(
    raw: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = foreign(raw, kind)
    with pytest.raises(ForeignFormat, match=r"^d is (a|packed)"):
        convert(source, raw.with_name("o.qcow2"))
    assert not raw.with_name("o.qcow2").exists()
    assert run_inspect(InspectOptions(str(source))) == NOT_ASKED
    assert "not a raw disk, a qcow2 or a raw.xz" in capsys.readouterr().err


def test_what_is_named_is_taken_as_it_is_named(raw: Path) -> None:
    source = foreign(raw, "gz")
    content = source.read_bytes()
    source.write_bytes(content.ljust(-(-len(content) // 512) * 512, b"\0"))
    convert(source, raw.with_name("o.raw"), source_format="raw")
    assert raw.with_name("o.raw").read_bytes() == source.read_bytes()


def test_a_raw_disk_is_known_by_its_partition_table_or_by_its_name(raw: Path) -> None:
    nameless = raw.rename(raw.with_name("disk"))
    with pytest.raises(BadConversion, match="shows no format"):
        convert(nameless, raw.with_name("o.qcow2"))
    with nameless.open("r+b") as disk:
        disk.seek(510)
        disk.write(b"\x55\xaa")
    convert(nameless, raw.with_name("o.qcow2"))
    assert raw.with_name("o.qcow2").exists()


@pytest.mark.parametrize("kind", ["pipe", "device", "link that leads nowhere", "directory"])
def test_only_a_regular_file_is_replaced(raw: Path, kind: str) -> None:
    made = raw.with_name("made.raw")
    if kind == "pipe":
        os.mkfifo(made)
    elif kind == "directory":
        made.mkdir()
    elif kind.startswith("link"):
        made.symlink_to("nowhere")
    else:
        made.symlink_to("/dev/null")
    with pytest.raises(BadConversion, match="only a regular file is"):
        convert(raw, made, force=True)
    assert not made.is_file()
    assert kind != "link that leads nowhere" or made.is_symlink()


def test_a_directory_that_is_not_there_is_named(raw: Path) -> None:
    with pytest.raises(BadConversion, match="not/there is no directory"):
        convert(raw, raw.parent / "not/there/o.raw")
