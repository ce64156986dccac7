import random
from pathlib import Path

import pytest

from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.image.variants.decoded import decoded_disks

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
def test_a_damaged_variant_is_told_and_nothing_is_left(
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
