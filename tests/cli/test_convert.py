"""`hyops convert` as a user runs it."""

import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import google_crc32c
import pytest

from hyops_assets.cli.convert import BadConversion, convert
from hyops_assets.image.programs import run
from hyops_assets.image.variants.rawxz import BadBlockSize

MIB = 1 << 20
HYOPS = [sys.executable, "-m", "hyops_assets.cli.main", "convert"]
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one disk in every format, by other programs."""
    root = tmp_path_factory.mktemp("disks")
    raw = root / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(MIB)
        file.write(random.Random(8).randbytes(MIB))
        file.write(b"set system host-name edge\n" * 9000)
    run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, root / "disk.qcow2"])
    with (root / "disk.raw.xz").open("wb") as packed:
        subprocess.run(["xz", "-c", raw], stdout=packed, check=True)
    return root


def _content(path: Path, format_: str, scratch: Path) -> bytes:
    if format_ == "raw":
        return path.read_bytes()
    if format_ == "raw.xz":
        return run(["xz", "-dc", path]).stdout
    again = scratch / "again.raw"
    run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, again])
    return again.read_bytes()


@pytest.mark.parametrize("target", ["raw", "qcow2", "raw.xz"])
@pytest.mark.parametrize("source", ["raw", "qcow2", "raw.xz"])
def test_every_format_becomes_every_other(
    disks: Path, tmp_path: Path, source: str, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / f"made.{target}"
    convert(disks / f"disk.{source}", made)
    assert [path.name for path in tmp_path.iterdir()] == [made.name]
    printed = capsys.readouterr().out
    content, disk = made.read_bytes(), (disks / "disk.raw").read_bytes()
    assert _content(made, target, tmp_path) == disk
    assert f"disk    {len(disk)} bytes, sha256 {hashlib.sha256(disk).hexdigest()}" in printed
    assert f"({target}, {len(content)} bytes)" in printed
    assert f"sha256  {hashlib.sha256(content).hexdigest()}" in printed
    checksum = google_crc32c.value(content).to_bytes(4, "big")
    assert f"crc32c  {base64.b64encode(checksum).decode()}" in printed


def test_a_sources_format_is_recognized_by_its_bytes_and_a_named_one_wins_over_the_name(
    disks: Path, tmp_path: Path
) -> None:
    misnamed = tmp_path / "disk.raw"
    misnamed.write_bytes((disks / "disk.qcow2").read_bytes())
    convert(misnamed, tmp_path / "made.img", format_="raw.xz", threads=1, block_size="64K")
    assert _content(tmp_path / "made.img", "raw.xz", tmp_path) == (disks / "disk.raw").read_bytes()


def test_an_existing_file_is_replaced_only_by_force(disks: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.raw"
    made.write_bytes(b"mine")
    with pytest.raises(BadConversion, match="exists"):
        convert(disks / "disk.qcow2", made)
    assert made.read_bytes() == b"mine"
    convert(disks / "disk.qcow2", made, force=True)
    assert made.read_bytes() == (disks / "disk.raw").read_bytes()


@pytest.mark.parametrize(
    ("destination", "words", "why"),
    [
        ("made.vmdk", {}, "tells no format"),
        ("made.raw", {"format_": "vmdk"}, "no format"),
        ("made.qcow2", {"block_size": "512K"}, "no block size"),
        ("made.raw.xz", {"block_size": "half"}, "no size"),
        (".", {"format_": "raw", "force": True}, "cannot be replaced"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    disks: Path, tmp_path: Path, destination: str, words: dict[str, str | bool], why: str
) -> None:
    with pytest.raises(BadConversion, match=why):
        convert(disks / "disk.raw", tmp_path / destination, **words)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_written_over_itself(disks: Path, tmp_path: Path) -> None:
    (tmp_path / "link.raw").symlink_to(disks / "disk.raw")
    with pytest.raises(BadConversion, match="is the source itself"):
        convert(disks / "disk.raw", tmp_path / "link.raw", force=True)


def test_a_block_size_that_the_encoder_does_not_write_is_refused(disks: Path, tmp_path: Path) -> None:
    with pytest.raises(BadBlockSize):
        convert(disks / "disk.raw", tmp_path / "made.raw.xz", block_size="5K")


@pytest.mark.seconds
def test_the_command_prints_digests_and_ends_with_0_or_1(disks: Path, tmp_path: Path) -> None:
    words = [*HYOPS, disks / "disk.raw", tmp_path / "made.raw.xz"]
    first, second = (
        subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False) for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 1), first.stderr
    assert "crc32c" in first.stdout
    assert second.stderr.startswith("error: ")


def test_ctrl_c_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    source, made = tmp_path / "disk.raw", tmp_path / "made.raw.xz"
    with source.open("wb") as file:
        file.truncate(200 << 30)
        file.seek(MIB)
        file.write(b"edge")
    process = subprocess.Popen([*HYOPS, source, made], cwd=CHECKOUT, stderr=subprocess.PIPE, start_new_session=True)
    while not made.with_name("made.raw.xz.partial").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, b"cancelled\n")
    assert list(tmp_path.iterdir()) == [source]
