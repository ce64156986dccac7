"""What the tests of a Hetzner seed look at afterwards, and a process that seeds and can be killed."""

import os
import signal
import time
from collections.abc import Callable
from typing import Self

from hyops_assets.contract.seeding import SeedRequest
from resources.sites.hetzner.report import SeededImage
from tests.hetzner_lab import DISK, Lab, processes_of_cells


def assert_seeded(lab: Lab, image: SeededImage) -> None:
    """One ready, protected snapshot with the record's bytes, and nothing else."""
    assert [str(snapshot.id) for snapshot in lab.snapshots()] == [image.image_ref]
    assert lab.disk_of(image.image_ref) == DISK
    facts = lab.seeder().audit(image.image_ref)
    assert facts.labels is not None
    assert (facts.status, facts.protected, facts.labels.state) == ("available", True, "ready")
    assert lab.leftovers() == []
    assert processes_of_cells(lab.directory) == []


class Child:
    """A process that seeds once it gets the signal to, and is killed by SIGKILL when the step `at` starts."""

    def __init__(self, lab: Lab, request: SeedRequest, at: str = "") -> None:
        reading, self._writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._writing)
            os.read(reading, 1)
            self._seed(lab, request, at)
        os.close(reading)

    def go(self) -> Self:
        os.close(self._writing)
        return self

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> bool:
        """Wait for its end; tell whether it lived to it."""
        _, status = os.waitpid(self._pid, 0)
        return not os.WIFSIGNALED(status)

    def _seed(self, lab: Lab, request: SeedRequest, at: str) -> None:
        def progress(step: str, done: int, total: int | None) -> None:
            if step == at:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            lab.seeder().seed(request, progress=progress)
        finally:
            os._exit(0)


def wait_until(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
