"""What our writer leaves on the disk, seen by qemu-img and by our reader, which share no line of code."""

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyops_assets.image import atomic_write
from hyops_assets.image.programs import find_program, run
from hyops_assets.image.variants import qcow2, qcow2_writer, raw
from hyops_assets.image.variants.disk_source import open_disk
from hyops_assets.image.variants.qcow2_writer import CLUSTER_BYTES
from tests.killing import killed_at_each_line

pytestmark = pytest.mark.seconds

SECTOR = 512
_NOISE = random.Random(7).randbytes(40 * CLUSTER_BYTES)
_TEXT = b"set interfaces ethernet eth0 address dhcp\n" * (40 * CLUSTER_BYTES // 40)


def _content(kind: str, size: int) -> bytes:
    return {
        "zeros": bytes(size),
        "noise": _NOISE[:size],
        "text": _TEXT[:size],
        # Deflates a little: such clusters fill the room that others left, or do not fit into it.
        "half": b"".join(_NOISE[at : at + 64] + bytes(64) for at in range(0, size, 128))[:size],
    }[kind]


def _checked(path: Path) -> dict[str, int]:
    report = json.loads(run(["qemu-img", "check", "--output=json", path]).text)
    assert not any(report.get(name) for name in ("leaks", "corruptions", "check-errors"))
    return report


def _written(tmp_path: Path, content: bytes, threads: int = 2) -> Path:
    disk, packed = tmp_path / "disk", tmp_path / "disk.qcow2"
    disk.write_bytes(content)
    encoded = qcow2.encode(disk, packed, threads=threads)
    assert encoded.disk.sha256 == hashlib.sha256(content).hexdigest()
    assert encoded.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    return packed


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["zeros", "noise", "text", "half"]), st.integers(1, 3 * CLUSTER_BYTES // SECTOR)),
        min_size=1,
        max_size=12,
    ),
    threads=st.integers(1, 3),
)
def test_qemu_img_and_our_reader_find_the_disk_that_was_written(
    tmp_path: Path, parts: list[tuple[str, int]], threads: int
) -> None:
    content = b"".join(_content(kind, sectors * SECTOR) for kind, sectors in parts)
    packed = _written(tmp_path, content, threads)
    _checked(packed)
    run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", tmp_path / "disk", packed])
    raw.encode(packed, tmp_path / "again.raw", disk_format="qcow2")
    assert (tmp_path / "again.raw").read_bytes() == content


@pytest.mark.parametrize("delta", [-SECTOR, 0, SECTOR])
@pytest.mark.parametrize("clusters", [1, 2, 16, 17])
def test_every_size_around_a_border_of_clusters_comes_back(tmp_path: Path, clusters: int, delta: int) -> None:
    content = _content("half", clusters * CLUSTER_BYTES + delta)
    packed = _written(tmp_path, content)
    _checked(packed)
    run(["qemu-img", "dd", "-f", "qcow2", "-O", "raw", f"if={packed}", f"of={tmp_path / 'again'}", "bs=512"])
    assert (tmp_path / "again").read_bytes() == content


def test_a_disk_of_many_tables_and_count_blocks_is_sound(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate((40 << 30) + SECTOR)
        for at in (0, 513 << 20, 39 << 30, 40 << 30):
            file.seek(at)
            file.write(b"here" * 128)
    packed = tmp_path / "disk.qcow2"
    _write_only(disk, packed)
    report = _checked(packed)
    assert report["total-clusters"] == (40 << 30) // CLUSTER_BYTES + 1
    run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", disk, packed])


def _write_only(disk: Path, packed: Path) -> None:
    """Encode without the digest, which would take half a minute for so many zeros."""
    with open_disk(disk, "raw", scratch=disk.parent) as source, packed.open("wb", buffering=0) as output:
        writer = qcow2_writer.Qcow2Writer(output.fileno(), source.size_bytes)
        for piece in source.pieces(16 * CLUSTER_BYTES):
            writer.add(qcow2_writer.clusters_of(piece))
        writer.finish()


def test_zeros_are_absent_noise_is_whole_and_text_is_deflated(tmp_path: Path) -> None:
    packed = _written(tmp_path, bytes(4 << 20) + _NOISE[: 10 * CLUSTER_BYTES] + _TEXT[: 20 * CLUSTER_BYTES])
    report = _checked(packed)
    assert (report["allocated-clusters"], report["compressed-clusters"]) == (30, 20)
    # Header, two kinds of tables, two of counts; noise; text, of which twenty clusters fit into one.
    assert packed.stat().st_size == (5 + 10 + 1) * CLUSTER_BYTES


def test_it_takes_no_more_room_than_what_qemu_img_writes(tmp_path: Path) -> None:
    content = Path(find_program("qemu-img")).read_bytes()
    content += bytes(-len(content) % SECTOR) + _NOISE
    packed = _written(tmp_path, content)
    run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", tmp_path / "disk", tmp_path / "theirs.qcow2"])
    assert packed.stat().st_size <= (tmp_path / "theirs.qcow2").stat().st_size * 1.01


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    content = b"".join(_content(kind, 70 * SECTOR + 9 * CLUSTER_BYTES) for kind in ("half", "noise", "text", "half"))
    content += bytes(-len(content) % SECTOR)
    digests = {hashlib.sha256(_written(tmp_path, content, n).read_bytes()).hexdigest() for n in (1, 2, 3, 8)}
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["text", "noise"])
@pytest.mark.parametrize("clusters", [1, 3])
def test_a_file_cut_off_in_a_transfer_is_not_a_disk_with_zeros_in_it(tmp_path: Path, kind: str, clusters: int) -> None:
    """qemu-img alone reads what lies beyond a file's end as zeros."""
    packed = _written(tmp_path, _content(kind, 40 * CLUSTER_BYTES))
    with packed.open("r+b") as file:
        file.truncate(max(packed.stat().st_size - clusters * CLUSTER_BYTES, CLUSTER_BYTES))
    with pytest.raises(qcow2.BadQcow2):
        qcow2.decode(packed, tmp_path / "again.raw")
    with pytest.raises(qcow2.BadQcow2):
        raw.encode(packed, tmp_path / "again.raw", disk_format="qcow2")


def test_a_writer_killed_at_any_line_leaves_what_the_next_run_takes_over(tmp_path: Path) -> None:
    disk, packed = tmp_path / "disk", tmp_path / "disk.qcow2"
    disk.write_bytes(_TEXT[:CLUSTER_BYTES] + bytes(CLUSTER_BYTES) + _NOISE[:CLUSTER_BYTES])
    whole = qcow2.encode(disk, tmp_path / "whole.qcow2")
    deaths = 0
    for _ in killed_at_each_line(
        lambda: qcow2.encode(disk, packed, threads=1), qcow2, qcow2_writer, atomic_write, every=5
    ):
        deaths += 1
        if packed.exists():
            assert hashlib.sha256(packed.read_bytes()).hexdigest() == whole.sha256
            packed.unlink()
        assert {path.name for path in tmp_path.iterdir()} <= {"disk", "whole.qcow2", "disk.qcow2.partial"}
    assert deaths > 10
    assert qcow2.encode(disk, packed) == whole


@pytest.mark.alone
def test_memory_is_bounded_by_threads_and_not_by_the_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(_NOISE * 48)
    encoding = (
        "import sys; from pathlib import Path; from hyops_assets.image.variants.qcow2 import encode\n"
        # Not ru_maxrss: a program inherits the peak of the process that started it.
        "def peak(): return int(next(line for line in open('/proc/self/status') if 'VmHWM' in line).split()[1])\n"
        "before = peak(); encode(Path(sys.argv[1]), Path(sys.argv[2]), threads=2); print(peak() - before)"
    )
    words = [sys.executable, "-c", encoding, disk, tmp_path / "disk.qcow2"]
    more_kib = int(subprocess.run(words, check=True, capture_output=True).stdout)
    assert more_kib < 64 << 10
