"""What people wait for while they work: `hyops validate` as the source document prints it, a miniature ISO."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.comparison import Comparison
from hyops_lab.grub_modules import grub_modules, lab_cache

MOST_VALIDATING_SECONDS = 0.5
MOST_MINIATURE_SECONDS = 3.0
_CHECKOUT = Path(__file__).parents[1]
_MODULE = "core/shared/vyos-image-build"
_VALIDATE = [
    *(sys.executable, "-m", "hyops_assets.cli.main", "validate", "--env", "dev", "--skip-preflight"),
    *("--module", _MODULE, "--inputs", f"modules/{_MODULE}/examples/inputs.gcs-state.yml"),
]
_MINIATURE = [
    *(sys.executable, "-c"),
    "import sys, pathlib; from hyops_lab.miniature import make_miniature;"
    " from hyops_lab.signing import LabKey;"
    " make_miniature(pathlib.Path(sys.argv[1]), '2026.03.03-0027-rolling', LabKey.generate())",
]


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Measure what validating in an empty home, and making a miniature, take of one core."""
    # GRUB's modules are fetched once, into a cache that stays.
    grub_modules(lab_cache())
    home = {"HOME": str(scratch), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    times = 1 if quick else 5
    yield Comparison(
        work="hyops validate, of one core",
        against="bound",
        ours=processor_seconds(_VALIDATE, home, times=times),
        theirs=MOST_VALIDATING_SECONDS,
        target=1,
        included="start of Python, imports, inputs read, resolved and judged; python -c pass takes"
        f" {processor_seconds([sys.executable, '-c', 'pass'], home, times=times):.2f} s",
    )
    cached = {**home, "XDG_CACHE_HOME": str(lab_cache().parents[1])}
    yield Comparison(
        work="a miniature ISO, of one core",
        against="bound",
        ours=processor_seconds([*_MINIATURE, str(scratch)], cached, times=1 if quick else 3),
        theirs=MOST_MINIATURE_SECONDS,
        target=1,
        included="start of Python, squashfs, ISO and signature",
    )


def processor_seconds(command: Sequence[str], environment: Mapping[str, str], *, times: int) -> float:
    """Return the processor time of a command and its children, in seconds: the least of some runs.

    Raises:
        CalledProcessError: it failed.
    """
    spent: list[float] = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=_CHECKOUT, env=dict(environment), stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(spent)
