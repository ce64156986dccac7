"""The calls about the cluster: its nodes, resources, pools, and the workers that ran.

Those below a machine are in `machine_calls.py`, those below a storage in `storage_calls.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import parameter_error, takes
from hyops_lab.proxmox.call import Call, Route
from hyops_lab.proxmox.guests import Guests
from hyops_lab.proxmox.inventory import Inventory, Machine, Task
from hyops_lab.proxmox.machine_calls import MachineCalls
from hyops_lab.proxmox.statistics import Statistics
from hyops_lab.proxmox.storage_calls import StorageCalls
from hyops_lab.proxmox.storages import Storages
from hyops_lab.proxmox.workers import Workers

_NOTHING = takes()
_TASKS = takes(
    strings="source typefilter userfilter statusfilter", integers="limit start since until vmid", booleans="errors"
)


@dataclass
class Api:
    """The calls of one cluster."""

    access: Access
    inventory: Inventory
    storages: Mapping[str, Storages]
    workers: Workers
    guests: Guests
    statistics: Statistics
    machine_calls: MachineCalls
    storage_calls: StorageCalls

    @property
    def version(self) -> str:
        """The version of Proxmox VE."""
        return self.machine_calls.version

    @version.setter
    def version(self, version: str) -> None:
        self.machine_calls.version = version

    @property
    def bridges(self) -> list[str]:
        """The bridges of every node."""
        return self.machine_calls.bridges

    def routes(self) -> list[Route]:
        """Return method, path, parameters and handler of every call."""
        node = "/nodes/{node}"
        return [
            ("GET", "/version", _NOTHING, self._version),
            ("GET", "/access/permissions", takes(strings="path userid"), self._permissions),
            ("GET", "/access/users", takes(strings="userid", booleans="enabled full"), self._users),
            ("GET", "/pools", takes(strings="poolid type"), self._pools),
            ("GET", "/nodes", _NOTHING, self._nodes),
            ("GET", "/cluster/status", _NOTHING, self._cluster),
            ("GET", "/cluster/resources", takes(strings="type"), self._resources),
            ("GET", "/cluster/nextid", takes(integers="vmid"), self._next_id),
            ("GET", f"{node}/version", _NOTHING, self._version),
            ("GET", f"{node}/lxc", _NOTHING, self._containers),
            ("GET", f"{node}/network", takes(strings="type"), self._network),
            *self.storage_calls.routes(),
            *self.machine_calls.routes(),
            ("GET", f"{node}/tasks", _TASKS, self._tasks),
            ("GET", f"{node}/tasks/{{upid}}/status", _NOTHING, self._task_status),
            ("GET", f"{node}/tasks/{{upid}}/log", takes(integers="start limit"), self._task_log),
            ("DELETE", f"{node}/tasks/{{upid}}", _NOTHING, self._stop_task),
        ]

    async def _version(self, _call: Call) -> object:
        release = ".".join(self.version.split(".")[:2])
        return {"version": self.version, "release": release, "repoid": "d4f2d8a1c0ffee00"}

    async def _permissions(self, call: Call) -> object:
        paths = [call.parameters["path"]] if "path" in call.parameters else list(self.access.privileges)
        granted = {path: dict.fromkeys(sorted(self.access.effective(path)), 1) for path in paths}
        return {path: names for path, names in granted.items() if names}

    async def _users(self, _call: Call) -> object:
        return [{"userid": self.access.token_id.partition("!")[0], "enable": 1, "expire": 0, "realm-type": "pve"}]

    async def _pools(self, _call: Call) -> object:
        return [{"poolid": name} for name in self.access.pools if self.access.has(f"/pool/{name}", "Pool.Audit")]

    async def _nodes(self, _call: Call) -> object:
        return [self._node(node) for node in self.inventory.members]

    def _node(self, node: str) -> dict[str, object]:
        return {"id": f"node/{node}", "node": node, "type": "node", "status": self.statistics.node_status(node)}

    async def _cluster(self, _call: Call) -> object:
        self.access.require("/", "Sys.Audit")
        return [
            {
                "id": f"node/{node}",
                "name": node,
                "type": "node",
                "online": int(node not in self.inventory.down),
                "local": int(node == self.inventory.node),
                "nodeid": number,
            }
            for number, node in enumerate(self.inventory.members, start=1)
        ]

    async def _containers(self, _call: Call) -> object:
        """List no containers: this stand-in has none."""
        return []

    async def _network(self, call: Call) -> object:
        """List what the token may use or look at: a bridge without such a right is not listed (API2/Network.pm)."""
        wanted = call.parameters.get("type", "bridge")
        shown = self.bridges if wanted in {"bridge", "any_bridge", "any_local_bridge"} else []
        return [
            {"iface": name, "type": "bridge", "active": 1, "autostart": 1, "method": "static"}
            for name in shown
            if self.access.has_any(f"/sdn/zones/localnetwork/{name}", "SDN.Use", "SDN.Audit")
        ]

    async def _resources(self, call: Call) -> object:
        wanted = call.parameters.get("type")
        found: list[dict[str, object]] = []
        if wanted in {None, "vm"}:
            found += [self._resource(self.inventory.machines[vmid]) for vmid in self._visible()]
        if wanted in {None, "node"}:
            found += [self._node(node) for node in self.inventory.members]
        if wanted in {None, "storage"}:
            found += self.storage_calls.resources()
        return found

    def _visible(self) -> list[int]:
        return self.access.may_see(self.inventory.machines)

    async def _next_id(self, call: Call) -> object:
        wanted = call.parameters.get("vmid")
        if wanted is not None:
            if int(wanted) in self.inventory.machines:
                raise parameter_error(vmid=f"VM {wanted} already exists")
            return wanted
        vmid = 100
        while vmid in self.inventory.machines:
            vmid += 1
        return str(vmid)

    async def _tasks(self, call: Call) -> object:
        given = call.parameters
        source, limit = given.get("source", "archive"), int(given.get("limit", "50"))
        # Without Sys.Audit a token sees what it started itself, not what its user or another token did.
        auditor = self.access.has(f"/nodes/{call.node}", "Sys.Audit")
        found = [
            task
            for task in reversed(self.inventory.tasks.values())
            if task.node == call.node
            and (source == "all" or (task.exitstatus is None) == (source == "active"))
            and given.get("typefilter") in {None, task.type}
            and given.get("vmid") in {None, task.id}
            and given.get("userfilter", "").lower() in task.user.lower()
            and (auditor or task.user == self.access.token_id)
            and task.starttime >= int(given.get("since", "0"))
        ]
        return [_listed(task) for task in found[:limit]]

    async def _task_status(self, call: Call) -> object:
        task = self._task(call)
        status = (
            {"status": "running"} if task.exitstatus is None else {"status": "stopped", "exitstatus": task.exitstatus}
        )
        return {key: value for key, value in _listed(task).items() if key not in {"status", "endtime"}} | status

    async def _task_log(self, call: Call) -> object:
        start, limit = int(call.parameters.get("start", "0")), int(call.parameters.get("limit", "50"))
        lines = self._task(call).log
        numbered = [{"n": number, "t": line} for number, line in enumerate(lines, start=1)]
        return numbered[start : start + limit if limit else None] or [{"n": 1, "t": "no content"}]

    async def _stop_task(self, call: Call) -> object:
        self.workers.stop(self._task(call).upid)
        return None

    def _task(self, call: Call) -> Task:
        upid = call.path["upid"]
        if upid not in self.inventory.tasks:
            raise parameter_error(upid="no such task")
        if self.inventory.tasks[upid].user != self.access.token_id:
            self.access.require(f"/nodes/{call.path['node']}", "Sys.Audit")
        return self.inventory.tasks[upid]

    def _resource(self, machine: Machine) -> dict[str, object]:
        """Return an entry: place, lock and tags as they are; name, flag and state as last reported, if ever."""
        config = machine.config
        optional: dict[str, object] = {key: config[key] for key in ("tags", "lock") if key in config}
        pool = self.access.pool_of(machine.vmid)
        if pool is not None and self.access.has(f"/pool/{pool}", "Pool.Audit"):
            optional["pool"] = pool
        return {
            "id": f"qemu/{machine.vmid}",
            "type": "qemu",
            "vmid": machine.vmid,
            "node": self.inventory.node_of(machine),
            "status": "unknown",
            **self.statistics.of(machine),
            **optional,
        }


def _listed(task: Task) -> dict[str, object]:
    entry: dict[str, object] = {
        "upid": task.upid,
        "node": task.node,
        "pid": task.pid,
        "pstart": task.pstart,
        "starttime": task.starttime,
        "type": task.type,
        "id": task.id,
        **_user(task),
    }
    return entry if task.exitstatus is None else {**entry, "status": task.exitstatus, "endtime": task.endtime}


def _user(task: Task) -> dict[str, object]:
    """Return who started a worker: the user alone in one field, a token's name in another (API2/Tasks.pm)."""
    user, exclamation, token = task.user.partition("!")
    return {"user": user, "tokenid": token} if exclamation else {"user": user}
