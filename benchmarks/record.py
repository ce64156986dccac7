"""The image steps of one run, from an ISO to both variants of a record, decoded and compared.

`python -m benchmarks.record ISO PACKAGES_LINE KEYRING DISK_BYTES` runs them in a directory of their own below the
working directory and prints the digests: so another user can do it elsewhere, and be compared.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyops_assets.image.build import build_disk
from hyops_assets.image.shipped import canonical_helper
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.image.variants.decoded import decoded_disks
from hyops_assets.settings.build import AptSource, BuildSettings

RELEASE = "2026.03.03-0027-rolling"


def make_record(
    iso: Path, settings: BuildSettings, cache: Path, scratch: Path, stages: dict[str, float]
) -> dict[str, str]:
    """Make disk, qcow2 and raw.xz of an ISO, decode both by the stock programs, and return every digest.

    Args:
        iso: the look-alike.
        settings: where its packages come from, and the disk's size.
        cache: of apt.
        scratch: takes everything.
        stages: receives each stage's seconds.

    Raises:
        AssertionError: a variant does not decode to the disk.
    """
    disk, packed, streamed = scratch / "disk.raw", scratch / "disk.qcow2", scratch / "disk.raw.xz"
    with _timed(stages, "ISO to disk"):
        built = build_disk(
            iso,
            release=RELEASE,
            settings=settings,
            helper=canonical_helper(),
            lock=None,
            cache=cache,
            destination=disk,
            scratch=scratch,
        )
    with _timed(stages, "qcow2"):
        as_qcow2 = qcow2.encode(disk, packed)
        disk.unlink()
    # As in the graph: raw.xz is made of what the qcow2 holds, in a step that may run elsewhere.
    with _timed(stages, "raw.xz"):
        as_raw_xz = rawxz.encode(packed, streamed, disk_format="qcow2")
    with _timed(stages, "decode both"):
        found = decoded_disks(packed, streamed, scratch)
    assert all(one == as_qcow2.disk for one in (*found.values(), as_raw_xz.disk))
    return {
        "disk": as_qcow2.disk.sha256,
        "package lock": built.lock.digest,
        "qcow2 sha256": as_qcow2.sha256,
        "qcow2 crc32c": as_qcow2.crc32c,
        "raw.xz sha256": as_raw_xz.sha256,
        "raw.xz crc32c": as_raw_xz.crc32c,
    }


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    stages[name] = time.perf_counter() - begun


def main() -> None:
    """Make the record of the command line in the working directory, and print its digests as JSON."""
    iso, line, keyring, disk_bytes = sys.argv[1:]
    sources = [AptSource(line=line, keyring=Path(keyring))]
    settings = BuildSettings(apt_sources=sources, disk_bytes=int(disk_bytes))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as own:
        scratch = Path(own)
        print(json.dumps(make_record(Path(iso), settings, scratch / "cache", scratch, {})))


if __name__ == "__main__":
    main()
