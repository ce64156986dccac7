"""How groups of tests reach the workers: in their order, and as late as a worker can bear."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController


class Scheduler(LoadScopeScheduling):
    """xdist's scheduler of groups, with groups that a file names, and one test or group ahead instead of two.

    What is ahead of a worker, no other takes: behind a long test it would wait while the other has nothing to do. One
    is needed, as a worker begins a test when it knows the next.
    """

    def __init__(self, config: pytest.Config, log: Any, groups: Path) -> None:
        super().__init__(config, log)
        self._file = groups

    @cached_property
    def _groups(self) -> dict[str, str]:
        # Read when the first worker has collected: it wrote the file before it said so.
        return json.loads(self._file.read_text())

    def _split_scope(self, nodeid: str) -> str:
        return self._groups[nodeid]

    def _reschedule(self, node: WorkerController) -> None:
        if self.workqueue and self._pending_of(self.assigned_work[node]) > 1:
            return
        super()._reschedule(node)
