"""raw.xz: our encoder against `qemu-img convert` and `xz -T0 -6`, and stock xz decoding either file."""

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparison import Comparison, fastest, seconds
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run, running
from hyops_assets.image.variants import qcow2, rawxz

MIB = 1 << 20


@dataclass(frozen=True)
class Size:
    """A disk: its bytes, how many of them are noise, as a squashfs is, and how many times faster is to be reached."""

    disk_bytes: int
    payload_bytes: int
    reach: int


LARGE = Size(10 << 30, 640 * MIB, 30)
SMALL = Size(3 << 30, 200 * MIB, 20)
QUICK = Size(24 * MIB, 3 * MIB, 20)


def compare_large(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Compare on a disk of 10 GiB; their way takes five minutes."""
    return compare(scratch, QUICK if quick else LARGE, times=1 if quick else 2)


def compare_small(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Compare on a disk of 3 GiB."""
    return compare(scratch, QUICK if quick else SMALL, times=1 if quick else 3)


def compare(scratch: Path, size: Size, *, times: int) -> Iterator[Comparison]:
    """Time both ways from a qcow2 to a raw.xz, then stock xz on both files.

    Ours includes the SHA-256 of the disk and of the file, and the file's CRC32C; theirs includes no digest.

    Raises:
        AssertionError: the two files do not decode to the same disk.
    """
    disk = scratch / "disk.raw"
    make_disk(disk, size)
    packed = scratch / "disk.qcow2"
    expected = qcow2.encode(disk, packed).disk
    disk.unlink()
    our_xz, their_raw, their_xz = scratch / "ours.raw.xz", scratch / "theirs.raw", scratch / "theirs.raw.xz"

    def theirs() -> None:
        run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", packed, their_raw])
        with their_xz.open("wb") as file, running(["xz", "-T0", "-6", "-c", their_raw], stdout=file) as process:
            if process.wait():
                raise subprocess.CalledProcessError(process.returncode, "xz")

    [our_seconds] = fastest(lambda: rawxz.encode(packed, our_xz, disk_format="qcow2"), times=times)
    named = f"{size.disk_bytes // MIB} MiB disk, {size.payload_bytes // MIB} MiB of noise"
    yield Comparison(
        work=f"qcow2 to raw.xz, {named}",
        against="qemu-img convert -O raw, xz -T0 -6",
        ours=our_seconds,
        theirs=seconds(theirs),
        target=1 / size.reach,
        included="ours: SHA-256 of disk and file, CRC32C of the file; theirs: no digest",
    )
    their_raw.unlink()
    our_decoding, their_decoding = fastest(lambda: _decode(our_xz), lambda: _decode(their_xz), times=times)
    yield Comparison(
        work="xz -T0 -dc of our file",
        against="xz -T0 -dc of theirs",
        ours=our_decoding,
        theirs=their_decoding,
        target=1,
    )
    yield Comparison(
        work="size of our file",
        against="size of theirs",
        ours=our_xz.stat().st_size / MIB,
        theirs=their_xz.stat().st_size / MIB,
        target=1.01,
        unit="MiB",
    )
    decoded = scratch / "decoded.raw"
    for path in (our_xz, their_xz):
        rawxz.decode(path, decoded)
        assert sha256_of_file(decoded) == expected.sha256


def make_disk(path: Path, size: Size) -> None:
    """Write a sparse disk with noise behind its first tenth."""
    noise = random.Random(3)
    with path.open("wb") as file:
        file.truncate(size.disk_bytes)
        file.seek(size.disk_bytes // 10 // MIB * MIB)
        for _ in range(size.payload_bytes // MIB):
            file.write(noise.randbytes(MIB))


def _decode(path: Path) -> None:
    with running(["xz", "-T0", "-dc", path], stdout=subprocess.DEVNULL) as process:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, "xz")
