"""A benchmark's result: ours and theirs, measured one after the other on the same machine, and what was to be reached.

Seconds depend on the machine; their ratio hardly does. So a benchmark is a ratio, and a target is one too.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Comparison:
    """Our way and theirs.

    Attributes:
        work: what was done, and by what of ours.
        against: what it is held against: other programs, or a bound.
        ours: in `unit`.
        theirs: in `unit`.
        target: the ratio of ours to theirs that may not be exceeded.
        unit: of both numbers.
        included: what the numbers hold, in words; printed below the table.
    """

    work: str
    against: str
    ours: float
    theirs: float
    target: float
    unit: str = "s"
    included: str = ""

    @property
    def ratio(self) -> float:
        """Ours in parts of theirs: 0.1 is ten times as fast."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether the target holds."""
        return self.ratio <= self.target


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def fastest(*works: Callable[[], object], times: int) -> list[float]:
    """Return the shortest run of each piece of work.

    They take turns, so that a busy minute of the machine hits all of them; what others do only ever adds.
    """
    rounds = [[seconds(work) for work in works] for _ in range(times)]
    return [min(runs) for runs in zip(*rounds, strict=True)]


def print_table(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print all results as one table, and below it what each of them includes."""
    table = Table("work", "against")
    for heading in ("ours", "theirs", "", "ratio", "reach"):
        table.add_column(heading, justify="right")
    for one in comparisons:
        style = "" if one.met else "bold red"
        numbers = (f"{one.ours:.2f}", f"{one.theirs:.2f}", one.unit, f"{one.ratio:.3f}", f"<= {one.target:.3g}")
        table.add_row(one.work, one.against, *numbers, style=style)
    console.print(table)
    for one in comparisons:
        if one.included:
            console.print(f"{one.work}: {one.included}", markup=False, highlight=False)
