"""A benchmark's result: two ways to the same end, timed one after the other on the same machine.

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
        against: the programs that do it otherwise.
        ours: seconds.
        theirs: seconds.
        target: the ratio of ours to theirs that may not be exceeded.
    """

    work: str
    against: str
    ours: float
    theirs: float
    target: float

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
    """Print all results as one table."""
    table = Table("work", "against")
    for heading in ("ours s", "theirs s", "ratio", "target"):
        table.add_column(heading, justify="right")
    for one in comparisons:
        style = "" if one.met else "bold red"
        numbers = (f"{one.ours:.2f}", f"{one.theirs:.2f}", f"{one.ratio:.3f}", f"<= {one.target}")
        table.add_row(one.work, one.against, *numbers, style=style)
    console.print(table)
