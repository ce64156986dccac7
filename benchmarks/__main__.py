"""`python -m benchmarks [--quick]`: run every benchmark, print one table, fail where a target is missed."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import rawxz, records
from benchmarks.comparison import Comparison, print_table

CASES = (rawxz.compare, records.compare)
"""Every benchmark; adding one is adding a row."""


def main(
    *,
    quick: Annotated[bool, typer.Option(help="small files: to see that it runs; no target is judged")] = False,
) -> None:
    """Time the heavy steps against what a careful person would type instead."""
    results: list[Comparison] = []
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="hyops-bench-") as scratch:
            results.extend(case(Path(scratch), quick=quick))
    print_table(results, Console())
    if not quick and not all(result.met for result in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
