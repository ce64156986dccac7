"""`hyops demo`: an ISO through the whole graph into a lab. What takes seconds begins beside the look-alike ISO."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from rich.text import Text

from hyops_assets.cli.environment import Place
from hyops_assets.cli.progress import shown
from hyops_assets.cli.source_iso import Source, source_of
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.steps import timed
from hyops_assets.image.overlay.packages import fetch_indexes
from hyops_assets.image.overlay.sources import host_sources
from hyops_lab.cli import lab
from hyops_lab.grub_modules import lab_cache
from hyops_lab.hetzner.confinement import require_confinement
from hyops_lab.lookalike.rootfs import SUITE
from resources.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    import dagster as dg

RELEASE = "2026.03.03-0027-rolling"
"""The release of the source document's verified example."""


def run_demo(place: Place, iso: str) -> None:
    """Run the graph once for one ISO, in the lab, and print what came out.

    Raises:
        RunFailed: a run of the graph failed.
        Refused: the environment is not a lab's.
        CellFailed: this host lets the lab's Hetzner servers start not at all; nothing was begun.
    """
    require_confinement()
    console = place.console
    console.print(Text.assemble(("HyOps VyOS image pipeline", "bold"), f": demo in {place.root.path}"))
    first = not iso and not lab.lookalike_place(RELEASE, lab_cache()).public_key.exists()
    with shown(console), _opened_meanwhile(place, first_build=first) as instance_of_lab:
        made = None if iso else _lookalike()
        source = source_of(iso) if iso else Source(RELEASE)
        instance = instance_of_lab()
        if made is not None:
            lab.announce_iso(place.root, made)
        from hyops_lab.cli.demo_run import print_table, run_through

        runs, mutating_calls = run_through(place, instance, source)
    print_table(place, source.release, runs, mutating_calls)


def _lookalike() -> lab.LabIso:
    """Make or find the look-alike ISO."""
    with timed("look-alike ISO") as progress:
        made = lab.lookalike(RELEASE, progress)
        progress.ended("made" if made.made else "adopted", made.iso.stat().st_size)
    return made


@contextmanager
def _opened_meanwhile(place: Place, *, first_build: bool) -> Iterator[Callable[[], "dg.DagsterInstance"]]:
    """Start the lab, load the graph and open Dagster's instance beside what the block does.

    Yields:
        What waits until the lab serves, and returns the instance, or raises why not.
    """
    with ExitStack() as running, ThreadPoolExecutor(1, thread_name_prefix="demo") as beside:

        def opened() -> "dg.DagsterInstance":
            running.enter_context(lab.lab_running(place.root))
            import hyops_lab.cli.demo_run  # noqa: F401 - loaded for the main thread
            from hyops_assets.cli.instance import open_instance

            return open_instance(place.root)

        instance = beside.submit(opened)
        if first_build:
            beside.submit(_fetch_indexes, place.root)
        yield instance.result


def _fetch_indexes(root: RuntimeRoot) -> None:
    """Have the build find Debian's indexes: what is downloaded keeps no processor busy."""
    # What prevents it prevents the build too, which says so.
    with suppress(HyopsError, OSError):
        fetch_indexes(SUITE, host_sources(SUITE), ArtifactStore(root.artifacts).cache / "packages")
