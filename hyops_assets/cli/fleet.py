"""Many seeds in one process: a thread per site, one seed at a time at each. A process per seed costs 200 MB and more.

Each seed is a run of the graph as any other, on the same instance, seen in the UI. Seeds wait for clouds most of
their time, so threads do; what they share (settings, the instance, the definitions) does not change.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from hyops_assets.cli.graph import Graph, Ran
from hyops_assets.contract.errors import HyopsError
from hyops_assets.partitions import PROXMOX, Cloud

MOST_AT_ONCE = 32


@dataclass(frozen=True)
class Cell:
    """One version at one site."""

    cloud: Cloud
    site: str
    version: str


@dataclass(frozen=True)
class Ended:
    """A seed that ended: what its run did, or why it failed."""

    cell: Cell
    seconds: float
    ran: Ran | None = None
    error: HyopsError | None = None

    @property
    def outcome(self) -> str:
        """What the seed says it did; `failed` where its run failed."""
        if self.ran is None:
            return "failed"
        return str(self.ran.metadata.get(self.cell.cloud.asset.to_user_string(), {}).get("outcome", "done"))


class Fleet:
    """Seeds many cells at once.

    Args:
        graph: runs each of them.
        most: sites that are seeded at the same time.
        told: called with each seed that ended, by the thread that ran it, one at a time.
        stopping: called once it was interrupted, before it waits for the seeds at work.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        most: int = MOST_AT_ONCE,
        told: Callable[[Ended], None] = lambda _: None,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        _configure_logging_once(graph.instance)
        self._graph = graph
        self._most = most
        self._told = told
        self._stopping = stopping
        self._telling = threading.Lock()
        self._stopped = threading.Event()

    def seed(self, cells: Sequence[Cell], *, over_daily_cap: bool = False) -> list[Ended]:
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
        with ThreadPoolExecutor(max(1, min(self._most, len(by_site))), thread_name_prefix="site") as pool:
            try:
                rows = [pool.submit(self._seed_site, own, over_daily_cap=over_daily_cap) for own in by_site.values()]
                return [ended for row in rows for ended in row.result()]
            except KeyboardInterrupt:
                self._stopped.set()
                with _the_next_one_kills():
                    self._stopping()
                    pool.shutdown(cancel_futures=True)
                raise

    def _seed_site(self, cells: Sequence[Cell], *, over_daily_cap: bool) -> list[Ended]:
        done: list[Ended] = []
        for cell in cells:
            if self._stopped.is_set():
                break
            ended = self._seed_cell(cell, over_daily_cap=over_daily_cap)
            done.append(ended)
            with self._telling:
                self._told(ended)
        return done

    def _seed_cell(self, cell: Cell, *, over_daily_cap: bool) -> Ended:
        begun = time.monotonic()
        try:
            if cell.cloud is PROXMOX:
                ran = self._graph.seed_proxmox(cell.site, cell.version)
            else:
                config = {"over_daily_cap": True} if over_daily_cap else None
                ran = self._graph.seed_hetzner(cell.site, cell.version, config)
        except HyopsError as error:
            return Ended(cell, time.monotonic() - begun, error=error)
        return Ended(cell, time.monotonic() - begun, ran=ran)


@contextmanager
def _the_next_one_kills() -> Iterator[None]:
    """Have Ctrl-C end the process by itself: an exception would wait for the threads all the same."""
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _configure_logging_once(instance: dg.DagsterInstance) -> None:
    """Make the log handlers that `dagster.yaml` names now, and have every run of this instance take these.

    Dagster configures the logging of the whole process anew at each run's start (`logging.config.dictConfig`): that
    takes the lock of all logging while it waits for each handler's, so with runs in two threads it ends in a deadlock
    with a run that writes an event.
    """
    handlers = instance.get_yaml_python_handlers()
    instance.get_yaml_python_handlers = lambda: handlers
