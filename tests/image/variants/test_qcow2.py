import hashlib
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.contract.record import Disk
from hyops_assets.image.programs import run
from hyops_assets.image.space import NoSpace
from hyops_assets.image.variants.encoded import NotADisk
from hyops_assets.image.variants.qcow2 import BadQcow2, NotPlainQcow2, decode, encode
from hyops_assets.image.variants.qcow2_header import require_plain_qcow2
from tests.full_disk import file_size_limit

MIB = 1 << 20


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(16 * MIB + 512)
        file.seek(3 * MIB + 512)
        file.write(random.Random(2).randbytes(MIB))
        file.write(b"set system host-name edge\n" * 50_000)
    return path


@pytest.fixture
def packed(disk: Path, tmp_path: Path) -> Path:
    encode(disk, tmp_path / "disk.qcow2")
    return tmp_path / "disk.qcow2"


def _disk_of(path: Path) -> Disk:
    return Disk(size_bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_disk_comes_back_byte_for_byte(disk: Path, tmp_path: Path) -> None:
    encoded = encode(disk, tmp_path / "disk.qcow2")
    decode(tmp_path / "disk.qcow2", tmp_path / "again.raw")
    assert (tmp_path / "again.raw").read_bytes() == disk.read_bytes()
    assert encoded.disk == _disk_of(disk)
    assert encoded.size_bytes == (tmp_path / "disk.qcow2").stat().st_size < 2 * MIB
    assert encoded.sha256 == hashlib.sha256((tmp_path / "disk.qcow2").read_bytes()).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.raw", "disk.qcow2"]


def test_the_decoded_disk_is_sparse(packed: Path, tmp_path: Path) -> None:
    decode(packed, tmp_path / "again.raw")
    assert (tmp_path / "again.raw").stat().st_blocks * 512 < 4 * MIB


def test_two_runs_give_the_same_bytes(disk: Path, tmp_path: Path) -> None:
    assert encode(disk, tmp_path / "one.qcow2") == encode(disk, tmp_path / "two.qcow2")


def test_a_sparse_disk_and_its_full_copy_give_the_same_bytes(disk: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.raw"
    full.write_bytes(disk.read_bytes())
    assert encode(disk, tmp_path / "one.qcow2") == encode(full, tmp_path / "two.qcow2")


def test_the_file_can_be_read_by_every_qemu_in_use(packed: Path) -> None:
    info = json.loads(run(["qemu-img", "info", "--output=json", packed]).text)
    data = info["format-specific"]["data"]
    assert (info["format"], data["compat"], data["compression-type"]) == ("qcow2", "1.1", "zlib")
    assert not data["extended-l2"]
    assert "backing-filename" not in info


def test_progress_goes_up_to_the_disks_size(disk: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    encode(disk, tmp_path / "disk.qcow2", progress=lambda *step: seen.append(step))
    size = disk.stat().st_size
    assert ("encode qcow2", size, size) in seen
    done = [bytes_done for stage, bytes_done, _ in seen if stage == "encode qcow2"]
    assert done == sorted(done)


class _Cancelled(Exception):
    pass


def _cancel(stage: str, done: int, total: int | None) -> None:
    raise _Cancelled


def test_encoding_can_be_cancelled_and_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    with pytest.raises(_Cancelled):
        encode(disk, tmp_path / "disk.qcow2", progress=_cancel)
    assert list(tmp_path.iterdir()) == []


def test_decoding_can_be_cancelled_and_leaves_nothing(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(_Cancelled):
        decode(packed, tmp_path / "again.raw", progress=_cancel)
    assert list(tmp_path.iterdir()) == [packed]


@pytest.mark.parametrize("size", [0, 511])
def test_a_file_that_is_no_whole_number_of_sectors_is_refused(tmp_path: Path, size: int) -> None:
    odd = tmp_path / "odd.raw"
    odd.write_bytes(bytes(size))
    with pytest.raises(NotADisk):
        encode(odd, tmp_path / "odd.qcow2")


def test_a_name_that_looks_like_a_protocol_is_a_file(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nbd:disk.raw").write_bytes(disk.read_bytes())
    assert encode(Path("nbd:disk.raw"), Path("json:{}.qcow2")).disk == _disk_of(disk)
    decode(Path("json:{}.qcow2"), Path("again.raw"))
    assert _disk_of(Path("again.raw")) == _disk_of(disk)


def test_a_qcow2_that_does_not_fit_is_reported_as_such_and_leaves_nothing(disk: Path, tmp_path: Path) -> None:
    with file_size_limit(MIB // 2), pytest.raises(NoSpace):
        encode(disk, tmp_path / "disk.qcow2")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_fit_is_reported_as_such_and_leaves_nothing(packed: Path, tmp_path: Path) -> None:
    with file_size_limit(MIB), pytest.raises(NoSpace):
        decode(packed, tmp_path / "disk.raw")
    assert list(tmp_path.iterdir()) == [packed]


def _create(path: Path, *options: str | Path) -> Path:
    run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "4M"])
    return path


def test_a_backing_file_is_refused_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * MIB)
    overlay = _create(tmp_path / "x.qcow2", "-b", secret, "-F", "raw")
    with pytest.raises(NotPlainQcow2, match="backing file"):
        decode(overlay, tmp_path / "x.raw")
    assert not (tmp_path / "x.raw").exists()


def test_a_data_file_is_refused(tmp_path: Path) -> None:
    split = _create(tmp_path / "x.qcow2", "-o", f"data_file={tmp_path / 'data'}")
    with pytest.raises(NotPlainQcow2, match="another file; it names a data file"):
        decode(split, tmp_path / "again.raw")


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    secret = "secret,id=s,data=only-a-test"
    # AES, which derives no key: LUKS measures the host's processor first, and fails on a busy one.
    options = "encrypt.format=aes,encrypt.key-secret=s"
    locked = _create(tmp_path / "x.qcow2", "--object", secret, "-o", options)
    with pytest.raises(NotPlainQcow2, match="encrypted"):
        decode(locked, tmp_path / "again.raw")


def test_internal_snapshots_are_refused(tmp_path: Path) -> None:
    kept = _create(tmp_path / "x.qcow2")
    run(["qemu-img", "snapshot", "-c", "before", kept])
    with pytest.raises(NotPlainQcow2, match="1 internal snapshots"):
        decode(kept, tmp_path / "again.raw")


def test_a_larger_disk_than_any_router_has_is_refused(tmp_path: Path) -> None:
    run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "x.qcow2", "2T"])
    with pytest.raises(NotPlainQcow2, match=str(2 << 40)):
        decode(tmp_path / "x.qcow2", tmp_path / "again.raw")


def test_an_old_qcow2_from_elsewhere_is_read(disk: Path, tmp_path: Path) -> None:
    run(["qemu-img", "convert", "-O", "qcow2", "-o", "compat=0.10", "-f", "raw", disk, tmp_path / "x.qcow2"])
    assert require_plain_qcow2(tmp_path / "x.qcow2").version == 2
    decode(tmp_path / "x.qcow2", tmp_path / "x.raw")
    assert _disk_of(tmp_path / "x.raw") == _disk_of(disk)


@pytest.mark.parametrize("option", ["compression_type=zstd", "extended_l2=on"])
def test_a_qcow2_from_elsewhere_that_asks_for_a_newer_qemu_is_read(disk: Path, tmp_path: Path, option: str) -> None:
    run(["qemu-img", "convert", "-c", "-O", "qcow2", "-o", option, "-f", "raw", disk, tmp_path / "x.qcow2"])
    decode(tmp_path / "x.qcow2", tmp_path / "x.raw")
    assert _disk_of(tmp_path / "x.raw") == _disk_of(disk)


def _patch(offset: int, form: str, value: int) -> Callable[[bytearray], None]:
    return lambda content: struct.pack_into(form, content, offset, value)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_patch(0, ">I", 0), "no qcow2"),
        (_patch(4, ">I", 4), "version is 4"),
        (_patch(20, ">I", 40), "2\\^40"),
        (_patch(72, ">Q", 1), "not closed cleanly"),
        (_patch(72, ">Q", 2), "corrupt"),
        (_patch(72, ">Q", 1 << 40), "unknown feature 40"),
        (_patch(100, ">I", 1 << 30), "header has"),
        (_patch(100, ">I", 64), "header has"),
        (lambda content: content.__delitem__(slice(100, None)), "cut off"),
        (lambda content: content.__delitem__(slice(10, None)), "no qcow2"),
    ],
)
def test_a_header_that_promises_trouble_is_refused_before_qemu_img_sees_it(
    packed: Path, tmp_path: Path, damage: Callable[[bytearray], None], why: str
) -> None:
    content = bytearray(packed.read_bytes())
    damage(content)
    packed.write_bytes(content)
    with pytest.raises(NotPlainQcow2, match=why):
        decode(packed, tmp_path / "again.raw")


def test_a_truncated_file_does_not_decode(packed: Path, tmp_path: Path) -> None:
    os.truncate(packed, packed.stat().st_size // 2)
    with pytest.raises(BadQcow2):
        decode(packed, tmp_path / "again.raw")
    assert list(tmp_path.iterdir()) == [packed]


@pytest.mark.seconds
@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 600), value=st.binary(min_size=1, max_size=16))
def test_any_header_is_either_plain_or_a_typed_refusal(packed: Path, at: int, value: bytes) -> None:
    original = packed.read_bytes()[:4096]
    mangled = packed.with_name("mangled.qcow2")
    mangled.write_bytes(original[:at] + value + original[at + len(value) :])
    try:
        header = require_plain_qcow2(mangled)
    except NotPlainQcow2:
        return
    assert header.version in (2, 3)
