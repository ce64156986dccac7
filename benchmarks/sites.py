"""Three records to twenty Hetzner projects in one process, against three records to one project."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.comparison import Comparison, seconds
from benchmarks.fleet_lab import FleetLab, fleet_lab
from benchmarks.memory import Peak, peak_memory

DELAYS = {"create_server": 5.0, "create_image": 30.0}
MOST_MEMORY_MIB = 1024
MIB = 1 << 20


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Seed one site alone, then twenty at once, each by one `hyops seed`; the stand-ins take a cloud's time.

    Creating a server takes 5 seconds and a snapshot 30, besides the work itself, which is real: SSH, curl, xz, dd,
    and the readback's digest, for all sites on this machine's cores.
    """
    sites, versions = (4, 2) if quick else (20, 3)
    delays: Mapping[str, float] = dict.fromkeys(DELAYS, 0.5) if quick else DELAYS
    with fleet_lab(scratch, sites=sites + 1, versions=versions, disk_bytes=64 * MIB, delays=delays) as lab:
        peak = Peak()
        alone = seconds(lambda: _seed(lab, lab.sites[:1], Peak()))
        together = seconds(lambda: _seed(lab, lab.sites[1:], peak))
        made, left = lab.snapshots(), lab.servers()
    if (made, left) != ((sites + 1) * versions, 0):
        raise AssertionError(f"{made} ready snapshots and {left} servers")
    yield Comparison(
        work=f"{versions} records to {sites} Hetzner projects, one hyops seed",
        against=f"{versions} records to one project",
        ours=together,
        theirs=alone,
        target=1.5,
        included=f"create {delays['create_server']:g} s, snapshot {delays['create_image']:g} s; every disk written,"
        f" read back and its lineage checked; {made} ready snapshots, {left} servers left",
    )
    yield Comparison(
        work="peak memory of that process",
        against="bound",
        ours=peak.bytes / MIB,
        theirs=MOST_MEMORY_MIB,
        target=1,
        unit="MiB",
        included="proportional set size of hyops seed and its children; the lab is another process",
    )


def _seed(lab: FleetLab, sites: Sequence[str], peak: Peak) -> None:
    """Seed every record at these sites by the command that an operator would type."""
    command = [sys.executable, "-m", "hyops_assets.cli.main", "seed", "--cloud", "hetzner"]
    command += ["--root", str(lab.root.path)]
    command += [word for site in sites for word in ("--site", site)]
    command += [word for version in lab.versions for word in ("--version", version)]
    with subprocess.Popen(command, env=dict(lab.environment)) as process, peak_memory(process.pid) as seen:
        status = process.wait()
    peak.bytes = seen.bytes
    if status:
        raise subprocess.CalledProcessError(status, command)
