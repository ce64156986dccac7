import errno
import os
import random
from pathlib import Path

import pytest

from hyops_assets.image.variants import decoded, qcow2, rawxz
from hyops_assets.image.variants.decoded import decoded_disks, same_bytes

MIB = 1 << 20


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, qcow2.Encoded]:
    root = tmp_path_factory.mktemp("variants")
    disk = root / "disk"
    with disk.open("wb") as file:
        file.truncate(32 * MIB)
        file.seek(3 * MIB)
        file.write(random.Random(6).randbytes(MIB))
    encoded = qcow2.encode(disk, root / "x.qcow2")
    rawxz.encode(root / "x.qcow2", root / "x.raw.xz", disk_format="qcow2")
    return root / "x.qcow2", root / "x.raw.xz", encoded


def test_both_variants_decode_to_one_disk(variants: tuple[Path, Path, qcow2.Encoded], tmp_path: Path) -> None:
    packed, streamed, encoded = variants
    assert decoded_disks(packed, streamed, tmp_path) == {"qcow2": encoded.disk, "raw.xz": encoded.disk}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["qcow2", "raw.xz"])
def test_a_damaged_variant_is_reported_and_nothing_is_left(
    variants: tuple[Path, Path, qcow2.Encoded], tmp_path: Path, which: str
) -> None:
    packed, streamed, _ = variants
    damaged = tmp_path / "damaged"
    damaged.write_bytes((packed if which == "qcow2" else streamed).read_bytes()[:-70_000])
    chosen = {"qcow2": packed, "raw.xz": streamed, which: damaged}
    with pytest.raises((qcow2.BadQcow2, rawxz.BadRawXz), match="damaged"):
        decoded_disks(chosen["qcow2"], chosen["raw.xz"], tmp_path)
    assert list(tmp_path.iterdir()) == [damaged]


class _Cancelled(Exception):
    pass


def test_cancelling_stops_both(variants: tuple[Path, Path, qcow2.Encoded], tmp_path: Path) -> None:
    def cancel(stage: str, done: int, total: int | None) -> None:
        raise _Cancelled

    with pytest.raises(_Cancelled):
        decoded_disks(variants[0], variants[1], tmp_path, progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_does_not_answer_in_time_fails_the_comparison(
    variants: tuple[Path, Path, qcow2.Encoded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(decoded, "sha256_of_file", fail)
    with pytest.raises(TimeoutError):
        decoded_disks(variants[0], variants[1], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_raw_xz_of_another_disk_is_reported_by_its_own_digest(
    variants: tuple[Path, Path, qcow2.Encoded], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(32 * MIB - 1) + b"1")
    other = rawxz.encode(disk, tmp_path / "other.raw.xz")
    found = decoded_disks(variants[0], tmp_path / "other.raw.xz", tmp_path)
    assert found == {"qcow2": variants[2].disk, "raw.xz": other.disk}


@pytest.mark.parametrize("at", [0, 5 * MIB, 8 * MIB - 1])
def test_a_byte_that_differs_is_seen_wherever_the_holes_are(tmp_path: Path, at: int) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        with path.open("wb") as file:
            file.truncate(8 * MIB)
            file.seek(2 * MIB)
            file.write(b"data" * 1000)
    with other.open("r+b") as file:
        file.seek(4 * MIB)
        file.write(bytes(1 * MIB))
    assert same_bytes(one, other)
    with other.open("r+b") as file:
        file.seek(at)
        file.write(b"1")
    assert not same_bytes(one, other)
    assert not same_bytes(other, one)


def test_files_of_different_sizes_are_not_the_same(tmp_path: Path) -> None:
    for name, size in (("one", MIB), ("other", 2 * MIB)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    assert not same_bytes(tmp_path / "one", tmp_path / "other")
