"""What one seed did, for every cloud: its steps with their seconds, what to read of it, and how it ended."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from hyops_assets.contract.ownership import Owner
from hyops_assets.contract.printable import shown
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.contract.seeding import Outcome

log = logging.getLogger("hyops.seeds")


@dataclass(frozen=True, kw_only=True)
class SeedReport:
    """How a seed ended; a cloud's own report adds what it left.

    Attributes:
        outcome: created, adopted (nothing was changed), or resumed (a killed run's work was finished).
        owner: whose it is.
        warnings: sentences for the operator.
        timings: seconds per step, in the order of their first start.
    """

    outcome: Outcome
    owner: Owner
    warnings: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(kw_only=True)
class Journal:
    """Collects what one seed does, and reports each step as it starts."""

    progress: Progress = silent
    warnings: list[str] = field(default_factory=list[str])
    timings: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step; a step that is taken twice adds up."""
        self.progress(name, 0, None)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = round(self.timings.get(name, 0.0) + time.monotonic() - begun, 3)

    def warn(self, text: str) -> None:
        """Keep a sentence for the operator; what it quotes of a site is a part of one line."""
        text = shown(" ".join(text.split()))
        log.warning("%s", text)
        self.warnings.append(text)
