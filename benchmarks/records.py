"""From an ISO to both variants of a record: time, memory, and the same bytes for another user elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.comparison import Comparison, fastest
from benchmarks.memory import peak_memory
from benchmarks.record import RELEASE, make_record
from hyops_assets.image.programs import run
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_lab.miniature import Oddities, make_miniature
from hyops_lab.packages import make_repository
from hyops_lab.signing import LabKey

MIB = 1 << 20
FULL_PAYLOAD_BYTES = 610 * MIB
QUICK_PAYLOAD_BYTES = 4 * MIB
QUICK_DISK_BYTES = 512 * MIB
MOST_MEMORY_BYTES = 512 * MIB
_CHECKOUT = Path(__file__).parents[1]
_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# The interpreter of a virtual environment may lie where only its owner looks; Debian's own can be run by anyone.
_ANYONES_PYTHON = "/usr/bin/python3"
_LONG_AGO = 1_000_000_000


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time the image steps of one run on a kernel-less look-alike whose squashfs holds noise; then let another do it.

    Ours: packages from a repository on disk, disk, qcow2, raw.xz of what the qcow2 holds, every digest and check on
    the way, both variants decoded by the stock programs and compared.
    """
    payload = QUICK_PAYLOAD_BYTES if quick else FULL_PAYLOAD_BYTES
    iso = make_miniature(scratch, RELEASE, LabKey.generate(), oddities=Oddities(payload_bytes=payload)).iso
    settings = BuildSettings(apt_sources=[make_repository(scratch / "packages")])
    if quick:
        settings = settings.model_copy(update={"disk_bytes": QUICK_DISK_BYTES})
    size = iso.stat().st_size
    stages: dict[str, float] = {}
    digests: dict[str, str] = {}

    def ours() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as own:
            digests.update(make_record(iso, settings, scratch / "cache", Path(own), stages))

    def theirs() -> None:
        run(["sha256sum", iso])
        run(["cp", "--reflink=never", iso, scratch / "copy"])

    our_seconds, their_seconds = fastest(ours, theirs, times=1 if quick else 2)
    (scratch / "copy").unlink()
    named = ", ".join(f"{name} {took:.1f} s" for name, took in stages.items())
    yield Comparison(
        work=f"ISO of {size // 1_000_000} MB to both variants of a disk of {settings.disk_bytes // MIB} MiB",
        against="sha256sum and cp of the ISO",
        ours=our_seconds,
        theirs=their_seconds,
        target=8,
        included=f"packages, disk, qcow2, raw.xz, every digest, both decoded and compared; last run: {named}",
    )
    yield from _elsewhere(iso, settings, digests)


def _elsewhere(iso: Path, settings: BuildSettings, digests: dict[str, str]) -> Iterator[Comparison]:
    """Make the same record in another directory, by another user, umask, zone and locale, from younger files."""
    with tempfile.TemporaryDirectory(prefix="hyops-elsewhere-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        copied = Path(shutil.copy(iso, directory))
        os.utime(copied, (_LONG_AGO, _LONG_AGO))
        source = make_repository(directory / "packages")
        who, words, environment = _someone(directory)
        found, peak_bytes = _made(words, copied, source, settings.disk_bytes, directory, environment)
    different = [what for what, digest in digests.items() if found[what] != digest]
    yield Comparison(
        work="peak memory of that",
        against="bound",
        ours=peak_bytes / MIB,
        theirs=MOST_MEMORY_BYTES / MIB,
        target=1,
        unit="MiB",
        included="proportional set size of the process and its children, sampled 20 times a second",
    )
    yield Comparison(
        work="rebuild elsewhere: digests that differ",
        against="all digests",
        ours=len(different),
        theirs=len(digests),
        target=0,
        unit="",
        included=f"by {who}, in another directory, with other umask, zone and locale, from files of another day;"
        f" compared {', '.join(digests)}; different: {', '.join(different) or 'none'}",
    )


def _made(
    words: list[str], iso: Path, source: AptSource, disk_bytes: int, directory: Path, environment: dict[str, str]
) -> tuple[dict[str, str], int]:
    command = [*words, "-m", "benchmarks.record", str(iso), source.line, str(source.keyring), str(disk_bytes)]
    with subprocess.Popen(
        command, cwd=directory, env=environment, umask=0o077, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        with peak_memory(process.pid) as peak:
            answer, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return json.loads(answer), peak.bytes


def _someone(home: Path) -> tuple[str, list[str], dict[str, str]]:
    """Return who rebuilds, how an interpreter is started as them, and in which environment."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": f"{_CHECKOUT}:{packages}",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
    }
    if os.geteuid() == 0:
        words = [*_NOBODY, _ANYONES_PYTHON]
        probe = [*words, "-c", "import benchmarks.record"]
        if subprocess.run(probe, cwd=home, env=environment, capture_output=True, check=False).returncode == 0:
            return "user 65534", words, environment
    return f"the same user, {os.geteuid()}", [sys.executable], environment
