"""What pvestatd says: names, template flags and states, up to ten seconds old, and nothing while it hangs.

`/cluster/resources` takes them from its broadcasts (pve-manager, API2Tools.pm, `extract_vm_stats` and
`extract_node_stats`); a node's own list reads the configurations themselves (qemu-server, QemuServer.pm, `vmstatus`).
"""

import time
from collections.abc import Callable

from hyops_lab.proxmox.inventory import Inventory, Machine

Report = dict[str, object]


class Statistics:
    """The last broadcast.

    Attributes:
        interval_seconds: between two of them.
        hanging: whether there are none any more, on any node.
        away: nodes that have been away for so long that their last one is forgotten (five minutes).
    """

    def __init__(self, inventory: Inventory, report: Callable[[Machine], Report]) -> None:
        self._inventory = inventory
        self._report = report
        self._said: dict[int, Report] = {}
        self._at = float("-inf")
        self.interval_seconds = 10.0
        self.hanging = False
        self.away: set[str] = set()

    def broadcast(self) -> None:
        """Say how everything is now; what nodes that are down said last stays as it was."""
        now = {
            vmid: self._report(machine)
            for vmid, machine in self._inventory.machines.items()
            if self._inventory.node_of(machine) not in self._inventory.down
        }
        stale = {
            vmid: said for vmid, said in self._said.items() if vmid in self._inventory.machines and vmid not in now
        }
        self._said, self._at = now | stale, time.monotonic()

    def of(self, machine: Machine) -> Report:
        """Return what was said last about a machine; nothing where it is too new, or nothing is said."""
        if self.hanging or self._inventory.node_of(machine) in self.away:
            return {}
        if time.monotonic() - self._at >= self.interval_seconds:
            self.broadcast()
        return self._said.get(machine.vmid, {})

    def node_status(self, node: str) -> str:
        """Return whether a node is online, as far as anybody says so."""
        if node in self._inventory.down:
            return "offline"
        return "unknown" if self.hanging else "online"
