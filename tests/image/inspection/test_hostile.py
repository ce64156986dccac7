"""Arbitrary bytes: whatever a disk holds, an inspection answers, or refuses with a typed error."""

import lzma
import random
import shutil
import struct
import uuid
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.build import BuiltDisk
from hyops_assets.image.disk.ext4 import Slot
from hyops_assets.image.disk.gpt import (
    BIOS_BOOT,
    SECTOR_BYTES,
    BadPartitionTable,
    Partition,
    PartitionTable,
    read_table,
    write_table,
)
from hyops_assets.image.inspection.arrival import opened_disk, release_on
from hyops_assets.image.inspection.cloud_config import BadCloudConfig, CloudConfig, parse_cloud_config, values_named
from hyops_assets.image.inspection.files import UnreadableFileSystem, parse_details, parse_listing
from hyops_assets.image.inspection.questions import QUESTIONS, inspect
from hyops_assets.image.inspection.superblock import read_superblock
from hyops_assets.image.variants.qcow2_header import NotPlainQcow2, require_plain_qcow2
from tests.image.inspection.bench import Bench, expected, failed
from tests.work import calls_of

pytestmark = pytest.mark.seconds

QUICKLY = settings(max_examples=25, deadline=None)
OFTEN = settings(max_examples=300, deadline=None)
LINE_BY_LINE = settings(max_examples=100, deadline=None)
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
YAML_LETTERS = "a:-[]{}&*!|>'\"\n ,#%0"
LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"debugfs: (ls -p|stat) <[0-9]{1,12}>", fullmatch=True),
        st.from_regex(r"/[0-9]{1,12}/[0-9]{6}/[0-9]{1,4}/[0-9]{1,4}/[^/]{0,5}/[0-9]{0,25}/", fullmatch=True),
        st.from_regex(r"(\(New-style\) )?Device major/minor number: [0-9]{1,30}:[0-9]{1,5} x", fullmatch=True),
        st.from_regex(r"  (trusted|user)\.overlay\.[a-z]{1,9} \([0-9]+\)( = .{0,9})?", fullmatch=True),
        st.from_regex(r'Fast link dest: ".{0,20}"', fullmatch=True),
    ),
    max_size=12,
)


def changed(content: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    result = bytearray(content)
    for at, piece in changes:
        start = at % len(result)
        result[start : start + len(piece)] = piece[: len(result) - start]
    return bytes(result)


def small_disk(path: Path) -> bytes:
    path.write_bytes(bytes(128 * SECTOR_BYTES))
    partition = Partition(BIOS_BOOT, uuid.uuid5(uuid.NAMESPACE_URL, "p"), 40, 60, "x")
    write_table(path, PartitionTable(uuid.uuid5(uuid.NAMESPACE_URL, "d"), (partition,)))
    return path.read_bytes()


@OFTEN
@given(changes=CHANGES)
def test_a_changed_partition_table_is_read_or_refused(changes: list[tuple[int, bytes]], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    content = changed(small_disk(disk), [(at % (34 * SECTOR_BYTES), piece) for at, piece in changes])
    disk.write_bytes(content)
    with suppress(BadPartitionTable):
        read_table(disk)


@OFTEN
@given(
    field=st.sampled_from(range(10, 92)), value=st.sampled_from([0, 1, 0xFF, 0x7FFFFFFF, (1 << 63) - 1, (1 << 64) - 1])
)
def test_a_header_that_lies_with_the_right_checksum_is_read_or_refused(field: int, value: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    content = bytearray(small_disk(disk))
    for at in (SECTOR_BYTES, len(content) - SECTOR_BYTES):
        header = bytearray(content[at : at + 92])
        packed = struct.pack("<Q", value)[: 92 - field]
        header[field : field + len(packed)] = packed
        header[16:20] = bytes(4)
        header[16:20] = struct.pack("<I", zlib.crc32(header))
        content[at : at + 92] = header
    disk.write_bytes(content)
    with suppress(BadPartitionTable):
        read_table(disk)


@OFTEN
@given(content=st.binary(max_size=2000))
def test_any_bytes_are_no_partition_table(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(content)
    with pytest.raises(BadPartitionTable):
        read_table(tmp_path / "disk")


@OFTEN
@given(rest=st.binary(max_size=600), version=st.sampled_from([0, 2, 3, 1 << 31]))
def test_any_header_of_a_qcow2_is_accepted_or_refused(rest: bytes, version: int, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"QFI\xfb" + struct.pack(">I", version) + rest)
    with suppress(NotPlainQcow2):
        require_plain_qcow2(tmp_path / "disk")


@QUICKLY
@given(changes=CHANGES)
def test_a_changed_raw_xz_decodes_or_is_refused(changes: list[tuple[int, bytes]], tmp_path: Path) -> None:
    packed = lzma.compress(bytes(range(256)) * 64, check=lzma.CHECK_CRC32)
    content = b"\xfd7zXZ\0" + changed(packed, changes)[6:]
    (tmp_path / "disk").write_bytes(content)
    with suppress(HyopsError), opened_disk(tmp_path / "disk", tmp_path) as arrived:
        assert arrived.format == "raw.xz"
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


@QUICKLY
@given(content=st.binary(max_size=1500), magic=st.sampled_from([b"", b"QFI\xfb", b"\xfd7zXZ\0"]))
def test_any_file_is_a_disk_or_refused(content: bytes, magic: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(magic + content)
    with suppress(HyopsError), opened_disk(tmp_path / "disk", tmp_path) as arrived:
        assert arrived.format == "raw"


@LINE_BY_LINE
@given(lines=LINES)
@example(lines=["/00/000000/0/0/0//"])
def test_any_listing_is_read_or_refused(lines: list[str]) -> None:
    with suppress(UnreadableFileSystem):
        for _, name, entry in parse_listing(lines):
            assert name not in ("", ".", "..")
            assert "/" not in name
            assert entry.inode > 0


@LINE_BY_LINE
@given(lines=LINES)
def test_any_details_are_read_or_refused(lines: list[str]) -> None:
    with suppress(UnreadableFileSystem):
        parse_details(lines)


def test_a_symlinks_text_cannot_speak_for_another_inode() -> None:
    feigned = ["debugfs: stat <12>", 'Fast link dest: "x', "debugfs: stat <13>", 'Fast link dest: "/etc"']
    with pytest.raises(UnreadableFileSystem, match="listed twice"):
        parse_details([*feigned, "debugfs: stat <13>", 'Fast link dest: "/real"'])


@OFTEN
@given(content=st.binary(max_size=1100))
def test_any_superblock_is_read_or_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(bytes(1024) + changed(content.ljust(1024, b"\0"), [(0x38, b"\x53\xef")]))
    with suppress(UnreadableFileSystem):
        assert read_superblock(Slot(tmp_path / "disk", 0, 1 << 20)).free_bytes >= 0


@OFTEN
@given(
    content=st.one_of(st.binary(max_size=60), st.text(st.sampled_from(list("a:-[]{}&*!|>'\"\n ,#%0")), max_size=40))
)
def test_any_cloud_configuration_is_read_or_refused(content: bytes | str) -> None:
    with suppress(BadCloudConfig):
        parse_cloud_config("x.cfg", content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    "content",
    [b"[" * 50_000, b"a: " * 5_000, b"a: &a [x]\nb: *a\n", b"? [a]\n: b\n", b"a: 9999-99-99\n"],
    ids=["deep", "nested", "alias", "key", "date"],
)
def test_a_hostile_cloud_configuration_is_read_or_refused_with_little_work(content: bytes) -> None:
    def parsed() -> None:
        with suppress(BadCloudConfig):
            parse_cloud_config("x.cfg", content)

    # A good file takes a hundred calls for each of its bytes: a bad one is refused long before it was read to its end.
    assert calls_of(parsed) < 2000 + len(content)


def test_aliases_that_stand_for_billions_of_values_are_walked_at_once() -> None:
    lines = ["a0: &a0 [passwd]", *(f"a{at}: &a{at} [{f'*a{at - 1}, ' * 9}]" for at in range(1, 20)), "b: {passwd: x}"]
    found = parse_cloud_config("x.cfg", "\n".join(lines).encode())
    assert list(values_named(found, frozenset({"passwd"}))) == [("passwd", "x")]


def test_the_last_file_that_says_a_thing_is_believed() -> None:
    files = {"1": "a: {b: {c: x, d: z}}", "2": "a: {b: {c: y}}", "3": "a: {e: x}"}
    config = CloudConfig({path: parse_cloud_config(path, text.encode()) for path, text in files.items()})
    assert (config.at("a", "b", "c"), config.at("a", "b", "d"), config.at("a", "f")) == ("y", "z", None)
    later = CloudConfig({**config.files, "4": {"a": "none"}})
    assert later.at("a", "b", "c") is None


def flipped_and_inspected(bench: Bench, built: BuiltDisk, seed: int) -> None:
    """Flip bits where the structure of a disk stands; ask all questions; put everything back."""
    dice = random.Random(seed)
    # The table; the core; the ESP's tables; the superblock and groups; the first inodes and directories.
    regions = [(0, 34 * 512), (2048 * 512, 64 << 10), (4096 * 512, 600 << 10), (528384 * 512, 4 << 20)]
    start, length = regions[seed % len(regions)]
    before: list[tuple[int, bytes]] = []
    with bench.disk.open("rb") as file:
        # Where there is something: a flip in bytes that nothing uses shows nothing.
        used = [at for at in range(start, start + length, 16) if file.seek(at) == at and any(file.read(16))]
        for _ in range(dice.choice([1, 3, 20])):
            at = dice.choice(used) + dice.randrange(16)
            file.seek(at)
            before.append((at, file.read(1)))
            bench.patch(at, bytes([before[-1][1][0] ^ 1 << dice.randrange(8)]))
    found = inspect(bench.disk, expected(built), bench.scratch)
    release_on(bench.disk, bench.scratch)
    assert [finding.name for finding in found] == list(QUESTIONS)
    for at, content in reversed(before):
        bench.patch(at, content)


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 200), marks=pytest.mark.long)], ids=["few", "many"])
def test_flipped_bits_are_reported_and_never_break_the_inspection(
    seeds: range, built: tuple[Path, BuiltDisk], tmp_path: Path
) -> None:
    bench = Bench(tmp_path / "disk.raw", tmp_path)
    shutil.copyfile(built[0], bench.disk)
    for seed in seeds:
        flipped_and_inspected(bench, built[1], seed)
    assert failed(inspect(bench.disk, expected(built[1]), bench.scratch)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["disk.raw"]
