"""What one seed did: its tasks, how long each step took, and what an operator should read."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hyops_assets.contract.printable import shown
from hyops_assets.contract.progress import Progress, silent
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import TaskBusy
from resources.sites.proxmox.tasks import TaskEnd, wait_task

log = logging.getLogger("hyops.proxmox")


@dataclass(frozen=True)
class SeedLimits:
    """How long a seed waits. All in seconds.

    Attributes:
        task: for one worker: a download over a slow line, an import to a busy storage.
        poll: between two looks at a worker.
        smoke: for a clone's guest agent, from its start on.
        lifetime: after which a machine in the making counts as a leftover; longer than all of the above together.
    """

    task: float = 3600.0
    poll: float = 2.0
    smoke: float = 600.0
    lifetime: float = 6 * 3600.0


@dataclass
class Journal:
    """Collects what one seed did, and waits for its workers."""

    client: ProxmoxClient
    limits: SeedLimits
    progress: Progress = silent
    upids: list[str] = field(default_factory=list[str])
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

    def work(self, stage: str, ask: Callable[[], str]) -> TaskEnd:
        """Ask for a worker and wait for it; again, within the site's patience, where it did not get a lock."""
        return self.client.patiently(TaskBusy)(lambda: self.wait(stage, ask()))

    def wait(self, stage: str, upid: str) -> TaskEnd:
        """Wait for a worker, and keep its id and its warnings."""
        self.upids.append(upid)
        end = wait_task(
            self.client,
            upid,
            timeout_seconds=self.limits.task,
            poll_seconds=self.limits.poll,
            stage=stage,
            progress=self.progress,
        )
        if end.warnings:
            self.warn(f"{stage}: {end.exitstatus}: {' / '.join(end.log[-4:])}")
        return end

    def warn(self, text: str) -> None:
        """Keep a sentence for the operator; what it quotes of a node is a part of one line."""
        text = shown(" ".join(text.split()))
        log.warning("%s", text)
        self.warnings.append(text)
