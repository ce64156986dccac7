"""Our reader on what qemu-img writes, and on what no program should write."""

import random
import struct
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.image.programs import run
from hyops_assets.image.variants import qcow2, raw
from hyops_assets.image.variants.disk_source import open_disk
from hyops_assets.image.variants.encoded import NotADisk
from hyops_assets.image.variants.qcow2 import BadQcow2, NotPlainQcow2

pytestmark = pytest.mark.seconds

MIB = 1 << 20
SECTOR = 512


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(9 * MIB + SECTOR)
        file.seek(MIB + SECTOR)
        file.write(random.Random(4).randbytes(MIB // 2))
        file.write(b"set system host-name edge\n" * 40_000)
        file.seek(9 * MIB)
        file.write(b"e" * SECTOR)
    return path


def _read(path: Path, block_bytes: int = MIB) -> bytes:
    with open_disk(path, "qcow2", scratch=path.parent) as source:
        pieces = source.pieces(block_bytes)
        return b"".join(bytes(piece.size_bytes) if piece.data is None else piece.data for piece in pieces)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "options", ["cluster_size=512", "cluster_size=4K", "compat=0.10", "cluster_size=64K", "cluster_size=2M"]
)
@pytest.mark.parametrize("block_bytes", [1 << 12, MIB])
def test_what_qemu_img_writes_is_read(
    disk: Path, tmp_path: Path, options: str, block_bytes: int, *, packed: bool
) -> None:
    path = tmp_path / "x.qcow2"
    words = ["-c"] if packed else []
    run(["qemu-img", "convert", *words, "-f", "raw", "-O", "qcow2", "-o", options, disk, path])
    assert _read(path, block_bytes) == disk.read_bytes()


@pytest.mark.parametrize("option", ["compression_type=zstd", "extended_l2=on"])
def test_what_asks_for_a_newer_reader_is_decoded_by_qemu_img_and_nothing_is_left(
    disk: Path, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "x.qcow2"
    run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", option, disk, path])
    assert _read(path) == disk.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_preallocated_clusters_and_written_zeros_read_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "x.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, "4M"])
    run(["qemu-io", "-f", "qcow2", "-c", "write -P 65 1M 1M", "-c", "write -z 1M 512K", path])
    content = _read(path)
    assert content == bytes(MIB + MIB // 2) + b"A" * (MIB // 2) + bytes(2 * MIB)


def test_a_block_of_the_disk_is_none_where_the_qcow2_holds_nothing(disk: Path, tmp_path: Path) -> None:
    qcow2.encode(disk, tmp_path / "x.qcow2")
    with open_disk(tmp_path / "x.qcow2", "qcow2", scratch=tmp_path) as source:
        pieces = list(source.pieces(MIB))
    assert [(piece.size_bytes, piece.data is None) for piece in pieces] == [
        (MIB, True), (MIB, False), (MIB, False), (6 * MIB, True), (SECTOR, False),
    ]  # fmt: skip


def _entry(path: Path, value: int) -> None:
    """Overwrite the disk's 17th cluster, of noise, in a file of our writer: the second table is its third cluster."""
    with path.open("r+b") as file:
        file.seek(2 * 65536 + 17 * 8)
        file.write(struct.pack(">Q", value))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (1 << 40, "and a cluster at byte"),
        (5 << 16 | 512, "a cluster lies at byte"),
        (1 << 62 | 1 << 40, "and a cluster at byte"),
        (1 << 62 | 0x2000, "inflate"),
    ],
)
def test_a_table_that_leads_nowhere_is_damage(disk: Path, tmp_path: Path, entry: int, why: str) -> None:
    path = tmp_path / "x.qcow2"
    qcow2.encode(disk, path)
    _entry(path, entry)
    with pytest.raises(BadQcow2, match=why):
        _read(path)
    with pytest.raises(BadQcow2, match=why):
        raw.encode(path, tmp_path / "x.raw", disk_format="qcow2")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("at", "form", "value"), [(36, ">I", 0), (36, ">I", 1 << 31), (40, ">Q", 1 << 50), (40, ">Q", 1 << 63)]
)
def test_a_first_table_that_cannot_be_is_refused(disk: Path, tmp_path: Path, at: int, form: str, value: int) -> None:
    path = tmp_path / "x.qcow2"
    qcow2.encode(disk, path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack(form, value))
    with pytest.raises((BadQcow2, NotPlainQcow2)):
        _read(path)


@settings(max_examples=400, deadline=None)
@given(
    at=st.one_of(st.integers(0, 112), st.integers(65536, 65560), st.integers(2 * 65536, 2 * 65536 + 512)),
    value=st.binary(min_size=1, max_size=8),
    end=st.one_of(st.none(), st.integers(0, 1 << 19)),
)
def test_any_file_is_either_read_or_a_typed_refusal(
    disk: Path, tmp_path: Path, at: int, value: bytes, end: int | None
) -> None:
    whole = tmp_path / "whole.qcow2"
    if not whole.exists():
        qcow2.encode(disk, whole)
    content = bytearray(whole.read_bytes())
    content[at : at + len(value)] = value
    mangled = tmp_path / "mangled.qcow2"
    mangled.write_bytes(content[:end])
    with (
        suppress(NotPlainQcow2, BadQcow2, NotADisk),
        open_disk(mangled, "qcow2", scratch=tmp_path) as source,
    ):
        for piece in islice(source.pieces(MIB), 20):
            assert piece.data is None or len(piece.data) == piece.size_bytes
