"""The runs of `hyops seed`: those that the sensor would request, executed by this process, a site to a thread.

Seeds wait for clouds most of their time, so threads do: a process for each costs 200 MB and more. What they share
(settings, the instance, the definitions) does not change.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from hyops_assets.cli.graph import Graph, Ran
from hyops_assets.contract.errors import HyopsError
from hyops_assets.seeds.partitions import Cloud


@dataclass(frozen=True)
class Cell:
    """One version at one site."""

    cloud: Cloud
    site: str
    version: str


@dataclass(frozen=True)
class Ended:
    """A seed that ended: what its run did, or why it failed. `where` names the site, and what stands there now."""

    cell: Cell
    seconds: float
    where: str
    ran: Ran | None = None
    error: HyopsError | None = None

    @property
    def outcome(self) -> str:
        """What the seed says it did; `failed` where its run failed."""
        if self.ran is None:
            return "failed"
        return str(self.ran.metadata.get(self.cell.cloud.asset.to_user_string(), {}).get("outcome", "done"))


@dataclass(frozen=True)
class SeedRuns:
    """How the cells of a command are seeded.

    Attributes:
        graph: executes each run.
        at_once: sites that are seeded at the same time.
        over_daily_cap: create images although the cap is reached.
        ended: called with each seed that ended, one at a time.
        stopping: called once it was interrupted, before it waits for the seeds at work.
    """

    graph: Graph
    at_once: int
    over_daily_cap: bool
    ended: Callable[[Ended], None]
    stopping: Callable[[], None]

    def seed(self, cells: Sequence[Cell]) -> list[Ended]:
        """Seed every cell, sites in parallel, the cells of a site in their order; a failure stops no other cell.

        Interrupted, it starts no further seed, lets those at work end, and raises: a seed that is cut off in the
        middle costs its next run more than its end does. A second interrupt kills the process, and the next seeds
        resume.

        Raises:
            KeyboardInterrupt: after the seeds at work ended.
        """
        by_site: dict[tuple[str, str], list[Cell]] = {}
        for cell in cells:
            by_site.setdefault((cell.cloud.name, cell.site), []).append(cell)
        stopped, printing = threading.Event(), threading.Lock()

        def seed_site(own: Sequence[Cell]) -> list[Ended]:
            done: list[Ended] = []
            for cell in own:
                if stopped.is_set():
                    break
                done.append(self._run(cell))
                with printing:
                    self.ended(done[-1])
            return done

        with ThreadPoolExecutor(max(1, min(self.at_once, len(by_site))), thread_name_prefix="site") as pool:
            try:
                rows = [pool.submit(seed_site, own) for own in by_site.values()]
                return [ended for row in rows for ended in row.result()]
            except KeyboardInterrupt:
                stopped.set()
                with _the_next_one_kills():
                    self.stopping()
                    pool.shutdown(cancel_futures=True)
                raise

    def _run(self, cell: Cell) -> Ended:
        begun = time.monotonic()
        try:
            asked = {"over_daily_cap": True} if self.over_daily_cap and cell.cloud.spec.paid else None
            ran = self.graph.seed(cell.cloud, cell.site, cell.version, asked)
        except HyopsError as error:
            return Ended(cell, time.monotonic() - begun, f"{cell.cloud.name}/{cell.site}:", error=error)
        return Ended(cell, time.monotonic() - begun, self.graph.standing(cell.cloud, cell.site, cell.version), ran=ran)


@contextmanager
def _the_next_one_kills() -> Iterator[None]:
    """Have Ctrl-C end the process by itself: an exception would wait for the threads all the same."""
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
