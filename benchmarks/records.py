"""From an ISO to both records, against no more than reading and copying that ISO: `sha256sum` and `cp`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Comparison, fastest
from hyops_assets.contract.settings import BuildSettings
from hyops_assets.image.build import build_disk
from hyops_assets.image.canonical_helper import canonical_helper
from hyops_assets.image.programs import run
from hyops_assets.image.variants import qcow2, rawxz
from hyops_assets.lab.miniature import Oddities, make_miniature
from hyops_assets.lab.packages import make_repository
from hyops_assets.lab.signing import LabKey

MIB = 1 << 20
RELEASE = "2026.03.03-0027-rolling"
FULL_PAYLOAD_BYTES = 500 * MIB
QUICK_PAYLOAD_BYTES = 4 * MIB
QUICK_DISK_BYTES = 512 * MIB


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time the image steps of one run on a kernel-less look-alike whose squashfs holds noise.

    Ours: packages from a repository on disk, disk, qcow2, the qcow2 read back, raw.xz, and every digest on the way.
    """
    payload = QUICK_PAYLOAD_BYTES if quick else FULL_PAYLOAD_BYTES
    made = make_miniature(scratch, RELEASE, LabKey.generate(), oddities=Oddities(payload_bytes=payload))
    settings = BuildSettings(apt_sources=[make_repository(scratch / "packages")])
    if quick:
        settings = settings.model_copy(update={"disk_bytes": QUICK_DISK_BYTES})
    size = made.iso.stat().st_size

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as own:
            _both_records(made.iso, settings, scratch / "cache", Path(own))

    def theirs() -> None:
        run(["sha256sum", made.iso])
        run(["cp", "--reflink=never", made.iso, scratch / "copy"])

    our_seconds, their_seconds = fastest(ours, theirs, times=1 if quick else 2)
    yield Comparison(
        work=f"ISO of {size // MIB} MiB to qcow2 and raw.xz of a {settings.disk_bytes // MIB} MiB disk",
        against="sha256sum and cp of the ISO",
        ours=our_seconds,
        theirs=their_seconds,
        target=25,
    )


def _both_records(iso: Path, settings: BuildSettings, cache: Path, scratch: Path) -> None:
    disk, packed, again = scratch / "disk.raw", scratch / "disk.qcow2", scratch / "again.raw"
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
    encoded = qcow2.encode(disk, packed)
    disk.unlink()
    # As in the graph: raw.xz is made of what the qcow2 holds, in a step that may run elsewhere.
    qcow2.decode(packed, again)
    found = rawxz.encode(again, scratch / "disk.raw.xz").disk
    assert found == encoded.disk == built.disk
