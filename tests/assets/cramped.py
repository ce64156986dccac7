"""Builds in a process of its own that may write no file beyond a size: what a full disk is like, without filling one.

Usage: python -m tests.assets.cramped ROOT BYTES
"""

import resource
import sys
from pathlib import Path

from hyops_assets.cli.graph import Graph, RunFailed
from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.layout import RuntimeRoot
from tests.assets.house import RELEASE, quick


def main(root: RuntimeRoot, size_bytes: int) -> None:
    graph = Graph(root, open_instance(root), overrides=quick())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))
    try:
        graph.build(RELEASE)
    except RunFailed as failure:
        print(failure)  # noqa: T201 - a process's own output


if __name__ == "__main__":
    main(RuntimeRoot(Path(sys.argv[1])), int(sys.argv[2]))
