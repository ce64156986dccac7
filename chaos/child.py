"""What runs in a process of its own, in a session of its own: the real jobs, on the real instance.

Loaded once into a server that forks: a child starts in milliseconds where Dagster takes seconds to import.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import dagster as dg

from chaos.unbooted import Unbooted
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import environment_of, open_instance
from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.seeds.partitions import cloud_named
from hyops_lab.cli.lab import SITE
from resources.settings import load_settings
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.hetzner.timeouts import HetznerTimeouts
from resources.sites.proxmox.resource import ProxmoxSeeders
from resources.sites.proxmox.timeouts import ProxmoxTimeouts

Work = Literal["build", "hetzner", "proxmox"]
GO = "go"

_HETZNER_TIMEOUTS = HetznerTimeouts(first_poll=0.02, longest_poll=0.2)
_PROXMOX_TIMEOUTS = ProxmoxTimeouts(first_poll=0.02, longest_poll=0.02)


@dataclass(frozen=True)
class Task:
    """What a child does.

    Attributes:
        work: build the record, or seed it at the lab's site of a cloud.
        root: the runtime root.
        version: of the record.
        environ: the child's whole environment.
        log: where it prints.
        by_shell: whether it opens the instance as `hyops` does, which ends killed runs first; else as the UI's run
            worker does, which does not.
    """

    work: Work
    root: Path
    version: str
    environ: Mapping[str, str]
    log: Path
    by_shell: bool


def main(task: Task, door: Connection) -> None:
    """Announce the process group, wait for the word, do the work, and send its outcome or why it failed."""
    os.setsid()
    log = os.open(task.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    os.environ.clear()
    os.environ.update(task.environ)
    door.send(os.getpid())
    if door.recv() != GO:
        return
    try:
        door.send((True, _done(task)))
    except HyopsError as error:
        door.send((False, error.message))


def _done(task: Task) -> str:
    root = RuntimeRoot(task.root)
    with _instance(root, by_shell=task.by_shell) as instance:
        settings = load_settings(root)
        graph = Graph(
            root,
            instance,
            overrides={
                "boot_gate": Unbooted(),
                # The pauses between two looks are short; everything else is the product's own.
                "hetzner": HetznerProjects(settings, timeouts=_HETZNER_TIMEOUTS),
                "proxmox": ProxmoxSeeders(settings, timeouts=_PROXMOX_TIMEOUTS),
            },
        )
        if task.work == "build":
            graph.build(task.version)
            return "built"
        cloud = cloud_named(task.work)
        return str(graph.seed(cloud, SITE, task.version).metadata[cloud.spec.asset]["outcome"])


def _instance(root: RuntimeRoot, *, by_shell: bool) -> dg.DagsterInstance:
    if by_shell:
        return open_instance(root)
    os.environ.update(environment_of(root))
    return dg.DagsterInstance.from_config(str(root.dagster_home))
