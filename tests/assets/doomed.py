"""Runs the graph in a process of its own and kills its whole process group at one stage of one step.

Usage: python -m tests.assets.doomed ROOT STEP STAGE
"""

import logging
import os
import signal
import sys
from pathlib import Path

from hyops_assets.assets.steps import LOGGER
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.cli.lab import SITE
from hyops_assets.contract.layout import RuntimeRoot
from tests.assets.house import RELEASE, quick


class Doom(logging.Handler):
    """Kills when a step reports the stage: no `finally` runs, no buffer is written."""

    def __init__(self, step: str, stage: str) -> None:
        super().__init__(logging.DEBUG)
        self._at = (step, stage)

    def emit(self, record: logging.LogRecord) -> None:
        if (vars(record).get("step"), vars(record).get("stage")) == self._at:
            os.killpg(os.getpgid(0), signal.SIGKILL)


def main(root: RuntimeRoot, step: str, stage: str) -> None:
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(Doom(step, stage))
    graph = Graph(root, open_instance(root), overrides=quick())
    graph.build(RELEASE)
    graph.seed_proxmox(SITE, RELEASE)
    graph.seed_hetzner(SITE, RELEASE)


if __name__ == "__main__":
    main(RuntimeRoot(Path(sys.argv[1])), sys.argv[2], sys.argv[3])
