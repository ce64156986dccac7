"""What pvestatd reports: names, template flags and states, up to ten seconds old, and nothing while it hangs.

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
        interval_seconds: between two broadcasts.
        hanging: whether no node broadcasts any more.
        away: nodes that have been away for so long that their last broadcast is forgotten (five minutes).
    """

    def __init__(self, inventory: Inventory, report: Callable[[Machine], Report]) -> None:
        self._inventory = inventory
        self._report = report
        self._last_reports: dict[int, Report] = {}
        self._at = float("-inf")
        self.interval_seconds = 10.0
        self.hanging = False
        self.away: set[str] = set()

    def broadcast(self) -> None:
        """Report how everything is now; the last report of a node that is down stays."""
        now = {
            vmid: self._report(machine)
            for vmid, machine in self._inventory.machines.items()
            if self._inventory.node_of(machine) not in self._inventory.down
        }
        stale = {
            vmid: report
            for vmid, report in self._last_reports.items()
            if vmid in self._inventory.machines and vmid not in now
        }
        self._last_reports, self._at = now | stale, time.monotonic()

    def of(self, machine: Machine) -> Report:
        """Return the last report of a machine; empty where it is too new, or nothing is reported."""
        if self.hanging or self._inventory.node_of(machine) in self.away:
            return {}
        if time.monotonic() - self._at >= self.interval_seconds:
            self.broadcast()
        return self._last_reports.get(machine.vmid, {})

    def node_status(self, node: str) -> str:
        """Return whether a node is online, as far as it is reported."""
        if node in self._inventory.down:
            return "offline"
        return "unknown" if self.hanging else "online"
