"""`python -m benchmarks [--quick] [--only NAME]`: run every benchmark, print one table, fail where one is missed."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import commands, machine, rawxz, records, release, rescue, scale, sites, ticks, uploads
from benchmarks.comparison import Comparison, print_table

CASES: Mapping[str, Callable[..., Iterator[Comparison]]] = {
    "10gib": rawxz.compare_large,
    "3gib": rawxz.compare_small,
    "iso": records.compare,
    "scale": scale.compare,
    "sites": sites.compare,
    "uploads": uploads.compare,
    "commands": commands.compare,
    "ticks": ticks.compare,
    "rescue": rescue.compare,
    "release": release.compare,
}
"""Every benchmark; adding one is adding a row."""
_PAPER_WIDTH = 140


def main(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="small files: to see that it runs; nothing is judged")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"one of {', '.join(CASES)}; may be repeated")] = None,
) -> None:
    """Time the heavy steps against what a careful person would type instead."""
    if unknown := set(only or ()) - set(CASES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: give one of {', '.join(CASES)}")
    console = Console()
    if not console.is_terminal:
        console.width = _PAPER_WIDTH
    for line in machine.described():
        console.print(line)
    results: list[Comparison] = []
    for name in only or CASES:
        with tempfile.TemporaryDirectory(prefix="hyops-bench-") as scratch:
            results.extend(CASES[name](Path(scratch), quick=quick))
    print_table(results, console)
    if not quick and not all(result.met for result in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
