import lzma
import os
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.methods.method import BuildFailed
from hyops_assets.image.methods.produced import decode_disk
from hyops_assets.image.programs import run
from hyops_assets.image.variants.disk_source import ForeignFormat
from hyops_assets.image.variants.encoded import NotADisk
from hyops_assets.image.variants.qcow2 import NotPlainQcow2
from hyops_assets.image.variants.stock_xz import BadRawXz

SIZE = 8 << 20


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A sparse disk: a boot sector, noise in the middle, a hole at the end."""
    path = tmp_path / "source.raw"
    with path.open("wb") as file:
        file.write(bytes(510) + b"\x55\xaa")
        file.seek(3 << 20)
        file.write(os.urandom(1 << 20))
        file.truncate(SIZE)
    return path


def encoded(raw: Path, format_: str) -> Path:
    # Names tell nothing on purpose: the content does.
    path = raw.with_name("produced")
    if format_ == "qcow2":
        run(["qemu-img", "convert", "-O", "qcow2", raw, path])
    else:
        path.write_bytes(lzma.compress(raw.read_bytes()) if format_ == "raw.xz" else raw.read_bytes())
    return path


@pytest.mark.parametrize("format_", ["qcow2", "raw.xz", "raw"])
def test_a_disk_is_decoded_whatever_its_format_and_name(raw: Path, format_: str, tmp_path: Path) -> None:
    produced = encoded(raw, format_)
    before = sha256_of_file(produced)
    assert decode_disk(produced, tmp_path / "decoded.raw") == format_
    assert (tmp_path / "decoded.raw").read_bytes() == raw.read_bytes()
    assert sha256_of_file(produced) == before


@pytest.mark.parametrize("format_", ["qcow2", "raw.xz", "raw"])
def test_a_decoded_disk_stays_sparse(raw: Path, format_: str, tmp_path: Path) -> None:
    decode_disk(encoded(raw, format_), tmp_path / "decoded.raw")
    assert (tmp_path / "decoded.raw").stat().st_blocks * 512 < SIZE // 2


@pytest.mark.parametrize(
    ("head", "refusal", "what"),
    [
        (b"KDMV", ForeignFormat, "a VMDK"),
        (b"conectix", ForeignFormat, "a VHD"),
        (b"<html>", ForeignFormat, "a web page"),
        (b"no disk", BuildFailed, "no partition table"),
    ],
)
def test_what_is_no_disk_is_refused_and_named(
    head: bytes, refusal: type[HyopsError], what: str, tmp_path: Path
) -> None:
    produced = tmp_path / "disk.qcow2"
    produced.write_bytes(head.ljust(4096, b"\0"))
    with pytest.raises(refusal, match=what):
        decode_disk(produced, tmp_path / "decoded.raw")
    assert not (tmp_path / "decoded.raw").exists()


def test_a_qcow2_that_names_another_file_is_refused(raw: Path, tmp_path: Path) -> None:
    produced = tmp_path / "disk.qcow2"
    run(["qemu-img", "create", "-f", "qcow2", "-b", raw, "-F", "raw", produced])
    with pytest.raises(NotPlainQcow2, match="backing file"):
        decode_disk(produced, tmp_path / "decoded.raw")


def test_a_truncated_raw_xz_is_refused(raw: Path, tmp_path: Path) -> None:
    produced = encoded(raw, "raw.xz")
    produced.write_bytes(produced.read_bytes()[:-100])
    with pytest.raises(BadRawXz):
        decode_disk(produced, tmp_path / "decoded.raw")
    assert not (tmp_path / "decoded.raw").exists()


def test_a_raw_disk_that_is_no_whole_number_of_sectors_is_refused(raw: Path, tmp_path: Path) -> None:
    produced = encoded(raw, "raw")
    with produced.open("ab") as file:
        file.write(b"x")
    with pytest.raises(NotADisk):
        decode_disk(produced, tmp_path / "decoded.raw")
