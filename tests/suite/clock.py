"""Seconds that mean the same on a busy machine: of the clock, of the processor, and those in which a core idled."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seconds:
    """A span of time, or a reading of the clocks that spans are taken from.

    Attributes:
        wall: on the clock.
        cpu: of the processor, used by this process and by the programs that it ran and awaited.
        idle: summed over the machine's cores, those in which a core had nothing to do.
    """

    wall: float = 0.0
    cpu: float = 0.0
    idle: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """Read the clocks."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(time.monotonic(), sum(each.ru_utime + each.ru_stime for each in used), _idle())

    def __add__(self, other: Self) -> Self:
        return type(self)(self.wall + other.wall, self.cpu + other.cpu, self.idle + other.idle)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.wall - other.wall, self.cpu - other.cpu, self.idle - other.idle)

    @property
    def alone(self) -> float:
        """About what the span would have taken on a machine of its own, on one core.

        What it used of the processor, and what it waited although a core was idle. What it waited because others had
        every core is left out: a busy machine makes no test slow.
        """
        return self.cpu + max(0.0, min(self.wall - self.cpu, self.idle))


def _idle() -> float:
    """Return the idle seconds of all cores since the start of the machine (proc(5), /proc/stat)."""
    return int(Path("/proc/stat").read_text().split(maxsplit=5)[4]) / _TICKS
