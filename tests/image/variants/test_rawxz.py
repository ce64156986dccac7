import base64
import hashlib
import lzma
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.contract.record import Disk
from hyops_assets.image import atomic_write
from hyops_assets.image.holes import ChangedWhileRead
from hyops_assets.image.programs import find_program
from hyops_assets.image.space import NoSpace
from hyops_assets.image.variants import rawxz
from hyops_assets.image.variants.encoded import NotADisk
from hyops_assets.image.variants.rawxz import BadBlockSize, BadRawXz, VariantDiffers, decode, encode
from tests.killing import killed_at_each_line, kills

BLOCK = 1 << 12
SECTOR = 512
_NOISE = random.Random(1).randbytes(64 * BLOCK)


def _noise(count: int, at: int = 0) -> bytes:
    return _NOISE[at : at + count]


def _text(count: int) -> bytes:
    return (b"set interfaces ethernet eth0 address dhcp\n" * (count // 40 + 1))[:count]


def _disk(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _expected(content: bytes) -> Disk:
    return Disk(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _decoded(packed: Path) -> Disk:
    again = packed.with_name("again")
    decode(packed, again)
    return _expected(again.read_bytes())


def _xz(*words: str | Path) -> bytes:
    return subprocess.run(["xz", *words], check=True, capture_output=True).stdout


AROUND_BORDERS = sorted(
    {
        blocks * BLOCK + delta
        for blocks in (0, 1, 2, 3, 16, 17)
        for delta in (-SECTOR, 0, SECTOR)
        if blocks * BLOCK + delta > 0
    }
)


@pytest.mark.parametrize("kind", ["zeros", "noise", "text", "mixed"])
@pytest.mark.parametrize("size", AROUND_BORDERS)
def test_every_size_around_a_block_border_decodes_to_the_same_bytes(tmp_path: Path, size: int, kind: str) -> None:
    content = {
        "zeros": bytes(size),
        "noise": _noise(size),
        "text": _text(size),
        "mixed": (_noise(BLOCK) + bytes(BLOCK + SECTOR) + _text(BLOCK) + _noise(64 * BLOCK))[:size],
    }[kind]
    packed = tmp_path / "disk.raw.xz"
    encoded = encode(_disk(tmp_path / "disk", content), packed, block_bytes=BLOCK)
    assert encoded.disk == _expected(content)
    assert lzma.decompress(packed.read_bytes(), lzma.FORMAT_XZ) == content
    assert hashlib.sha256(packed.read_bytes()).hexdigest() == encoded.sha256
    assert packed.stat().st_size == encoded.size_bytes


@pytest.mark.seconds
@settings(max_examples=30, deadline=None)
@given(
    parts=st.lists(st.tuples(st.sampled_from(["zeros", "noise", "text"]), st.integers(1, 40)), min_size=1, max_size=8),
    block_bytes=st.sampled_from([1 << 12, 1 << 13, 1 << 16]),
    threads=st.integers(1, 3),
)
def test_stock_xz_decodes_whatever_disk_was_encoded(
    tmp_path: Path, parts: list[tuple[str, int]], block_bytes: int, threads: int
) -> None:
    make = {"zeros": bytes, "noise": _noise, "text": _text}
    content = b"".join(make[kind](sectors * SECTOR) for kind, sectors in parts)
    packed = tmp_path / "disk.raw.xz"
    encode(_disk(tmp_path / "disk", content), packed, block_bytes=block_bytes, threads=threads)
    _xz("-t", packed)
    assert _xz("-T2", "-dc", packed) == content
    assert _decoded(packed) == _expected(content)


def test_stock_xz_lists_one_stream_of_blocks_with_a_crc32(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    encode(_disk(tmp_path / "disk", _noise(5 * BLOCK + SECTOR)), packed, block_bytes=BLOCK)
    rows = [line.split("\t") for line in _xz("--robot", "--list", "-vv", packed).decode().splitlines()]
    [stream] = [row for row in rows if row[0] == "stream"]
    blocks = [row for row in rows if row[0] == "block"]
    assert stream[2] == "6"
    assert stream[8] == "CRC32"
    assert [int(row[7]) for row in blocks] == [BLOCK] * 5 + [SECTOR]
    # `cu`: both sizes stand in the block's header, which is what a decoder needs to use several threads.
    assert {row[12] for row in blocks} == {"cu"}


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    content = _noise(20 * BLOCK) + _text(30 * BLOCK) + bytes(40 * BLOCK) + _noise(9 * SECTOR)
    disk = _disk(tmp_path / "disk", content)
    files = {
        encode(disk, tmp_path / f"{threads}.raw.xz", block_bytes=BLOCK, threads=threads).sha256
        for threads in (1, 2, 3, 8, None)
    }
    assert len(files) == 1


@pytest.mark.parametrize("tail", [0, SECTOR])
def test_a_sparse_disk_and_its_full_copy_give_the_same_bytes(tmp_path: Path, tail: int) -> None:
    sparse, full = tmp_path / "sparse", tmp_path / "full"
    with sparse.open("wb") as file:
        file.truncate(300 * BLOCK + tail)
        file.seek(100 * BLOCK + SECTOR)
        file.write(_noise(3 * BLOCK))
    full.write_bytes(sparse.read_bytes())
    assert sparse.stat().st_blocks < full.stat().st_blocks
    one = encode(sparse, tmp_path / "sparse.raw.xz", block_bytes=BLOCK)
    other = encode(full, tmp_path / "full.raw.xz", block_bytes=BLOCK)
    assert one == other
    assert one.disk == _expected(full.read_bytes())


def test_zeros_that_come_in_small_blocks_are_merged_to_large_ones(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    encode(_disk(tmp_path / "disk", _noise(BLOCK) + bytes(5 << 20) + _text(BLOCK)), packed, block_bytes=BLOCK)
    rows = [line.split("\t") for line in _xz("--robot", "--list", "-vv", packed).decode().splitlines()]
    assert [int(row[7]) for row in rows if row[0] == "block"] == [BLOCK, 2 << 20, 2 << 20, 1 << 20, BLOCK]


def test_a_hole_costs_next_to_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(128 << 20)
    encoded = encode(disk, tmp_path / "disk.raw.xz")
    assert encoded.size_bytes < 1 << 16
    assert _decoded(tmp_path / "disk.raw.xz") == encoded.disk


@pytest.mark.alone
def test_memory_is_bounded_by_threads_and_blocks_not_by_the_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        for _ in range(128):
            file.write(os.urandom(1 << 20))
    encoding = (
        "import sys; from pathlib import Path; from hyops_assets.image.variants.rawxz import encode\n"
        # Not ru_maxrss: a program inherits the peak of the process that started it.
        "def peak(): return int(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])\n"
        "before = peak(); encode(Path(sys.argv[1]), Path(sys.argv[2]), threads=2); print(peak() - before)"
    )
    words = [sys.executable, "-c", encoding, disk, tmp_path / "disk.raw.xz"]
    more_kib = int(subprocess.run(words, check=True, capture_output=True).stdout)
    assert more_kib < 64 << 10


def test_noise_is_stored_with_less_than_a_thousandth_of_overhead(tmp_path: Path) -> None:
    content = os.urandom(4 << 20)
    encoded = encode(_disk(tmp_path / "disk", content), tmp_path / "disk.raw.xz")
    assert encoded.size_bytes < len(content) * 1.001


@pytest.mark.seconds
def test_programs_are_compressed_nearly_as_xz_does(tmp_path: Path) -> None:
    with Path(find_program("qemu-img")).open("rb") as file:
        disk = _disk(tmp_path / "disk", file.read(1 << 20))
    encoded = encode(disk, tmp_path / "disk.raw.xz")
    # Blocks of 512 KiB begin with an empty dictionary: that is the price of decoding them in parallel.
    assert encoded.size_bytes < len(_xz("-6", "-c", disk)) * 1.08


def test_the_crc32c_is_written_as_object_stores_report_it(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    encoded = encode(_disk(tmp_path / "disk", _text(BLOCK)), packed)
    checksum = google_crc32c.value(packed.read_bytes())
    assert base64.b64decode(encoded.crc32c) == checksum.to_bytes(4, "big")


class _Cancelled(Exception):
    pass


@pytest.mark.parametrize("block_bytes", [1 << 20, 8 << 20])
def test_larger_blocks_are_written_as_well(tmp_path: Path, block_bytes: int) -> None:
    content = _text(block_bytes) + _noise(BLOCK) + bytes(block_bytes)
    encode(_disk(tmp_path / "disk", content), tmp_path / "disk.raw.xz", block_bytes=block_bytes)
    assert _decoded(tmp_path / "disk.raw.xz") == _expected(content)


def test_progress_may_cancel_and_nothing_is_left_but_the_disk(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", _text(64 * BLOCK))

    def cancel(stage: str, done: int, total: int | None) -> None:
        if done > 10 * BLOCK:
            raise _Cancelled

    with pytest.raises(_Cancelled):
        encode(disk, tmp_path / "disk.raw.xz", block_bytes=BLOCK, progress=cancel)
    assert list(tmp_path.iterdir()) == [disk]


def test_progress_counts_the_disk_up_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    size = 9 * BLOCK + SECTOR
    encode(
        _disk(tmp_path / "disk", _text(size)),
        tmp_path / "disk.raw.xz",
        block_bytes=BLOCK,
        progress=lambda *step: seen.append(step),
    )
    done = [bytes_done for _, bytes_done, _ in seen]
    assert done == sorted(done)
    assert done[-1] == size
    assert {(stage, total) for stage, _, total in seen} == {("encode raw.xz", size)}


def test_a_former_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    packed.write_bytes(b"former")
    disk = _disk(tmp_path / "disk", _text(8 * BLOCK))

    def look(stage: str, done: int, total: int | None) -> None:
        assert packed.read_bytes() == b"former"

    encode(disk, packed, block_bytes=BLOCK, progress=look)
    assert _decoded(packed) == _expected(disk.read_bytes())


def test_a_file_that_does_not_fit_is_reported_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", _noise(64 * BLOCK))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * BLOCK, hard))
    try:
        with pytest.raises(NoSpace):
            encode(disk, tmp_path / "disk.raw.xz", block_bytes=BLOCK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == [disk]


@pytest.mark.seconds
@kills(some=7)
def test_an_encoder_killed_at_any_line_leaves_what_the_next_run_takes_over(tmp_path: Path, every: int) -> None:
    disk = _disk(tmp_path / "disk", _text(BLOCK) + bytes(BLOCK))
    packed = tmp_path / "disk.raw.xz"
    whole = encode(disk, tmp_path / "whole.raw.xz", block_bytes=BLOCK)
    deaths = 0
    work = lambda: encode(disk, packed, block_bytes=BLOCK, threads=1)  # noqa: E731
    for _ in killed_at_each_line(work, rawxz, atomic_write, every=every):
        deaths += 1
        if packed.exists():
            assert hashlib.sha256(packed.read_bytes()).hexdigest() == whole.sha256
            packed.unlink()
        assert {path.name for path in tmp_path.iterdir()} <= {"disk", "whole.raw.xz", "disk.raw.xz.partial"}
    assert deaths > 50 // every
    assert encode(disk, packed, block_bytes=BLOCK) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "disk.raw.xz", "whole.raw.xz"]


def test_a_disk_that_is_written_to_meanwhile_is_refused(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", _text(64 * BLOCK))

    def write(stage: str, done: int, total: int | None) -> None:
        with disk.open("r+b") as file:
            file.truncate(32 * BLOCK)

    with pytest.raises(ChangedWhileRead):
        encode(disk, tmp_path / "disk.raw.xz", block_bytes=BLOCK, threads=1, progress=write)
    assert list(tmp_path.iterdir()) == [disk]


@pytest.mark.seconds
def test_a_disk_that_is_written_to_while_only_its_digest_is_missing_is_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(1 << 30)

    def write(stage: str, done: int, total: int | None) -> None:
        with disk.open("r+b") as file:
            file.write(b"late")

    with pytest.raises(ChangedWhileRead):
        encode(disk, tmp_path / "disk.raw.xz", progress=write)
    assert list(tmp_path.iterdir()) == [disk]


@pytest.mark.parametrize("size", [0, 1, SECTOR - 1, SECTOR + 1])
def test_a_file_that_is_no_whole_number_of_sectors_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(NotADisk, match=f"{size} bytes"):
        encode(_disk(tmp_path / "disk", bytes(size)), tmp_path / "disk.raw.xz")


@pytest.mark.parametrize("block_bytes", [0, 512, 5000, 16 << 20])
def test_a_block_size_the_format_or_the_memory_cannot_bear_is_refused(tmp_path: Path, block_bytes: int) -> None:
    with pytest.raises(BadBlockSize):
        encode(_disk(tmp_path / "disk", bytes(SECTOR)), tmp_path / "disk.raw.xz", block_bytes=block_bytes)


def _packed(tmp_path: Path) -> Path:
    packed = tmp_path / "disk.raw.xz"
    encode(_disk(tmp_path / "disk", _text(4 * BLOCK) + _noise(4 * BLOCK)), packed, block_bytes=BLOCK)
    return packed


@pytest.mark.parametrize("part", range(16))
def test_a_file_with_one_flipped_bit_does_not_decode(tmp_path: Path, part: int) -> None:
    packed = _packed(tmp_path)
    content = bytearray(packed.read_bytes())
    content[part * (len(content) - 1) // 15] ^= 0x10
    packed.write_bytes(content)
    with pytest.raises(BadRawXz):
        _decoded(packed)


@pytest.mark.parametrize("part", range(1, 16))
def test_a_truncated_file_does_not_decode(tmp_path: Path, part: int) -> None:
    packed = _packed(tmp_path)
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size * part // 16])
    with pytest.raises(BadRawXz):
        _decoded(packed)


@pytest.mark.seconds
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1), value=st.binary(min_size=1, max_size=12), cut=st.booleans())
def test_any_file_is_either_the_disk_or_a_typed_refusal(
    tmp_path: Path, share: float, value: bytes, *, cut: bool
) -> None:
    whole = tmp_path / "disk.raw.xz"
    if not whole.exists():
        _packed(tmp_path)
    content = bytearray(whole.read_bytes())
    at = int(share * (len(content) - 1))
    content[at : at + len(value)] = value
    mangled = _disk(tmp_path / "mangled.raw.xz", bytes(content[: at + len(value)] if cut else content))
    expected = _expected(_text(4 * BLOCK) + _noise(4 * BLOCK))
    try:
        assert _decoded(mangled) == expected
    except (BadRawXz, NotADisk):
        return
    assert mangled.read_bytes() == whole.read_bytes()


def test_a_decoded_file_is_sparse_and_a_damaged_one_leaves_nothing(tmp_path: Path) -> None:
    disk, packed, again = tmp_path / "disk", tmp_path / "disk.raw.xz", tmp_path / "again"
    with disk.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(9 << 20)
        file.write(_noise(BLOCK))
    encode(disk, packed)
    decode(packed, again)
    assert again.read_bytes() == disk.read_bytes()
    assert again.stat().st_blocks * SECTOR < 4 << 20
    again.unlink()
    packed.write_bytes(packed.read_bytes()[:-1000])
    with pytest.raises(BadRawXz):
        decode(packed, again)
    assert not again.exists()


def test_a_file_that_decodes_to_half_a_sector_is_no_disk(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    packed.write_bytes(lzma.compress(_text(SECTOR + 1)))
    with pytest.raises(NotADisk, match="513 bytes"):
        _decoded(packed)


def test_what_another_encoder_wrote_is_decoded_too(tmp_path: Path) -> None:
    packed = tmp_path / "disk.raw.xz"
    packed.write_bytes(lzma.compress(_text(BLOCK)) + lzma.compress(_noise(BLOCK)))
    assert _decoded(packed) == _expected(_text(BLOCK) + _noise(BLOCK))


def test_decoding_tells_how_much_there_is_to_do(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    decode(_packed(tmp_path), tmp_path / "again", progress=lambda *step: seen.append(step))
    assert seen[-1] == ("decode raw.xz", 8 * BLOCK, 8 * BLOCK)


def test_a_file_that_is_no_xz_does_not_decode(tmp_path: Path) -> None:
    with pytest.raises(BadRawXz, match="not recognized"):
        _decoded(_disk(tmp_path / "disk.raw.xz", b"QFI\xfb" * 100))


def test_a_missing_file_does_not_decode(tmp_path: Path) -> None:
    with pytest.raises(BadRawXz, match="No such file"):
        _decoded(tmp_path / "disk.raw.xz")


def test_a_variant_of_another_disk_is_reported_with_both_digests() -> None:
    found, expected = _expected(bytes(SECTOR)), _expected(_text(SECTOR))
    message = str(VariantDiffers(found=found, expected=expected))
    assert found.sha256 in message
    assert expected.sha256 in message


def test_decoding_can_be_cancelled_and_leaves_nothing(tmp_path: Path) -> None:
    packed = _packed(tmp_path)

    def cancel(stage: str, done: int, total: int | None) -> None:
        raise _Cancelled

    with pytest.raises(_Cancelled):
        decode(packed, tmp_path / "again", progress=cancel)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "disk.raw.xz"]
