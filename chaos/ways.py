"""Every round of one cloud and one way of bringing the bytes there, in a process of its own."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.clouds import CLOUDS
from chaos.environment import ChaosEnvironment
from chaos.rounds import Round, play, record_trace


@dataclass(frozen=True)
class Way:
    """One cloud, and one way of bringing the bytes there."""

    cloud: str
    private: bool

    def __str__(self) -> str:
        return f"{self.cloud}, {'sent from this host' if self.private else 'fetched from a public URL'}"


@dataclass(frozen=True)
class Played:
    """What came of one way: how many points its trace has, and the rounds that were played."""

    way: Way
    points: int
    rounds: Sequence[Round]


def play_way(way: Way, only: Sequence[str]) -> Played:
    """Play the rounds of one way whose points have one of some words in their text; a line on stderr tells of each."""
    cloud = CLOUDS[way.cloud]
    with tempfile.TemporaryDirectory(prefix="hyops-chaos-") as scratch:
        environment = ChaosEnvironment(Path(scratch), private=way.private)
        record = environment.build()
        points = record_trace(environment, cloud)
        wanted = [point for point in points if any(words in str(point) for words in only)]
        rounds: list[Round] = []
        for number, point in enumerate(wanted, 1):
            rounds.append(play(environment, cloud, record, point))
            print(f"{way}: {number}/{len(wanted)} {rounds[-1]}", file=sys.stderr, flush=True)
    return Played(way, len(points), rounds)
