"""What the cluster knows: machines and tasks, kept in one JSON file that outlives the process.

A task that was running when the process died has the exit status that Proxmox gives it: `unexpected status`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hyops_lab.proxmox.answers import ApiError

Config = dict[str, str | int]


@dataclass
class Machine:
    """A virtual machine or a template. The configuration is the truth: `lock` and `template` are keys of it.

    `node` is empty on the cluster's first node.
    """

    vmid: int
    config: Config = field(default_factory=dict[str, str | int])
    node: str = ""

    @property
    def is_template(self) -> bool:
        """Whether the template flag is set; says nothing about its disks."""
        return self.config.get("template") == 1

    @property
    def digest(self) -> str:
        """SHA-1 of the configuration, by which Proxmox detects concurrent changes."""
        return hashlib.sha1(json.dumps(self.config, sort_keys=True).encode(), usedforsecurity=False).hexdigest()

    def require_unlocked(self) -> None:
        """Refuse to touch a locked machine."""
        if "lock" in self.config:
            raise ApiError(500, f"VM is locked ({self.config['lock']})")


@dataclass
class Task:
    """A worker. `exitstatus` is None while it runs."""

    upid: str
    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str
    exitstatus: str | None = None
    endtime: int | None = None
    log: list[str] = field(default_factory=list[str])


class Inventory:
    """Machines and tasks of a cluster, written to disk after every change.

    Attributes:
        node: the cluster's first node.
        down: nodes that do not answer.
        removed: nodes that have left the cluster, and whose machines' configurations are still there.
    """

    def __init__(self, directory: Path, *nodes: str) -> None:
        self.nodes = nodes
        self.node = nodes[0]
        self.down: set[str] = set()
        self.removed: set[str] = set()
        self._path = directory / "inventory.json"
        self.machines: dict[int, Machine] = {}
        self.tasks: dict[str, Task] = {}
        self._next_pid = 1000
        if self._path.exists():
            self._load(json.loads(self._path.read_text()))

    @property
    def members(self) -> list[str]:
        """The nodes that the cluster has."""
        return [node for node in self.nodes if node not in self.removed]

    def save(self) -> None:
        """Write everything, atomically."""
        partial = self._path.with_suffix(".partial")
        partial.write_text(
            json.dumps(
                {
                    "next_pid": self._next_pid,
                    "machines": [asdict(machine) for machine in self.machines.values()],
                    "tasks": [asdict(task) for task in self.tasks.values()],
                },
                indent=1,
            )
        )
        partial.replace(self._path)

    def next_pid(self) -> int:
        """Return a process id that no task has had."""
        self._next_pid += 1
        return self._next_pid

    def node_of(self, machine: Machine) -> str:
        """Return the node that a machine is on."""
        return machine.node or self.node

    def machine(self, vmid: int, node: str = "") -> Machine:
        """Return a machine of a node; the first one where none is named.

        Raises:
            ApiError: 500, as Proxmox answers for a configuration file that is not there.
        """
        machine = self.machines.get(vmid)
        if machine is None or (node and self.node_of(machine) != node):
            path = f"nodes/{node or self.node}/qemu-server/{vmid}.conf"
            raise ApiError(500, f"Configuration file '{path}' does not exist")
        return machine

    def require_there(self, vmid: int, node: str = "") -> Machine:
        """Return a machine of a node, where the node words it otherwise that there is none.

        Raises:
            ApiError: 500, as qemu-server, QemuConfig.pm, `assert_config_exists_on_node` (to clone, to stop).
        """
        try:
            return self.machine(vmid, node)
        except ApiError as error:
            where = f"VM {vmid} on node '{node or self.node}'"
            raise ApiError(500, f"unable to find configuration file for {where}") from error

    def _load(self, stored: dict[str, Any]) -> None:
        self._next_pid = stored["next_pid"]
        self.machines = {entry["vmid"]: Machine(**entry) for entry in stored["machines"]}
        self.tasks = {entry["upid"]: Task(**entry) for entry in stored["tasks"]}
        for task in self.tasks.values():
            if task.exitstatus is None:
                task.exitstatus = "unexpected status"
                task.endtime = task.starttime
