"""`python -m chaos`: kill the real run of a seed at every point, print one table, fail where anything is left."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chaos.clouds import CLOUDS
from chaos.ways import Played, Way, play_way

FEWEST_POINTS = 60
"""For each cloud."""
_PAPER_WIDTH = 180


def main(
    *,
    cloud: Annotated[list[str] | None, typer.Option(help="hetzner or proxmox; both where none is given")] = None,
    only: Annotated[list[str] | None, typer.Option(help="points whose text has this in it; may be repeated")] = None,
    jobs: Annotated[int, typer.Option(help="ways that are played at the same time")] = os.cpu_count() or 1,
) -> None:
    """Kill the real run of a seed at every point of its trace, run it again, and judge what stands."""
    console = Console()
    if not console.is_terminal:
        console.width = _PAPER_WIDTH
    known = list(CLOUDS)
    if unknown := set(cloud or ()) - set(known):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: give one of {', '.join(known)}")
    begun = time.monotonic()
    ways = [Way(name, private) for name in cloud or known for private in (False, True)]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(play_way, ways, [only or [""]] * len(ways)))
    for played in results:
        print_table(played, console)
    good = [sum_up(name, [one for one in results if one.way.cloud == name], console) for name in cloud or known]
    console.print(f"{time.monotonic() - begun:.0f} s")
    if not all(good):
        raise typer.Exit(1)


def print_table(played: Played, console: Console) -> None:
    """Print one line for each point, and below them everything that was not as it should be."""
    headings = ("#", "killed at", "what remained", "second run", "third run's changes", "s")
    table = Table(*headings, title=str(played.way), title_justify="left")
    for number, one in enumerate(played.rounds, 1):
        style = "bold red" if one.problems else ""
        cells = (one.remained, one.outcome or "-", str(one.mutations), f"{one.seconds:.1f}")
        table.add_row(str(number), str(one.point), *cells, style=style)
    console.print(table)
    for number, one in enumerate(played.rounds, 1):
        for problem in one.problems:
            console.print(f"{number}: {one.point}: {problem}", style="red", markup=False, highlight=False)


def sum_up(name: str, results: Sequence[Played], console: Console) -> bool:
    """Print one cloud's numbers and tell whether it is clean."""
    rounds = [one for played in results for one in played.rounds]
    points, bad = sum(played.points for played in results), sum(1 for one in rounds if one.problems)
    outcomes = Counter(one.outcome or "failed" for one in rounds if one.killed)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    console.print(
        f"{name}: {points} points (at least {FEWEST_POINTS}), {sum(one.killed for one in rounds)} runs killed;"
        f" second runs: {counted}; changing calls of third runs: {sum(one.mutations for one in rounds)};"
        f" bad rounds: {bad}",
        highlight=False,
    )
    return not bad and points >= FEWEST_POINTS


if __name__ == "__main__":
    typer.run(main)
