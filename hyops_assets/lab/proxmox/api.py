"""The calls of the API: which there are, what each takes, which privileges it needs, and its answer's shape."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hyops_assets.lab.proxmox import machines as shapes
from hyops_assets.lab.proxmox.access import Access
from hyops_assets.lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_assets.lab.proxmox.call import Call, Route
from hyops_assets.lab.proxmox.guests import Guests
from hyops_assets.lab.proxmox.inventory import Inventory, Machine, Task
from hyops_assets.lab.proxmox.machines import Machines
from hyops_assets.lab.proxmox.storage_calls import StorageCalls
from hyops_assets.lab.proxmox.storages import Storages
from hyops_assets.lab.proxmox.workers import Log, Workers

_NOTHING = takes()
_TASKS = takes(
    strings="source typefilter userfilter statusfilter", integers="limit start since until vmid", booleans="errors"
)
_CONFIG_PRIVILEGES = tuple(
    f"VM.Config.{name}" for name in ["Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit"]
)


@dataclass
class Api:
    """The calls of one cluster."""

    version: str
    access: Access
    inventory: Inventory
    storages: Mapping[str, Storages]
    workers: Workers
    machines: Machines
    guests: Guests
    storage_calls: StorageCalls
    bridges: list[str] = field(default_factory=lambda: ["vmbr0"])

    def routes(self) -> list[Route]:
        """Return method, path, parameters and handler of every call."""
        node, machine = "/nodes/{node}", "/nodes/{node}/qemu/{vmid:[0-9]+}"
        return [
            ("GET", "/version", _NOTHING, self._version),
            ("GET", "/access/permissions", takes(strings="path userid"), self._permissions),
            ("GET", "/nodes", _NOTHING, self._nodes),
            ("GET", "/cluster/resources", takes(strings="type"), self._resources),
            ("GET", "/cluster/nextid", takes(integers="vmid"), self._next_id),
            ("GET", f"{node}/network", takes(strings="type"), self._network),
            *self.storage_calls.routes(),
            ("POST", f"{node}/qemu", shapes.CREATE, self._create),
            ("GET", f"{machine}/config", takes(strings="snapshot", booleans="current"), self._config),
            ("PUT", f"{machine}/config", shapes.CONFIGURE, self._configure),
            ("POST", f"{machine}/config", shapes.CONFIGURE, self._configure_later),
            ("PUT", f"{machine}/resize", shapes.RESIZE, self._resize),
            ("POST", f"{machine}/template", shapes.TEMPLATE, self._template),
            ("POST", f"{machine}/clone", shapes.CLONE, self._clone),
            ("DELETE", machine, shapes.DESTROY, self._destroy),
            ("GET", f"{machine}/status/current", _NOTHING, self._status),
            ("POST", f"{machine}/status/start", shapes.START, self._start),
            ("POST", f"{machine}/status/stop", shapes.START, self._stop),
            ("POST", f"{machine}/agent/ping", _NOTHING, self._ping),
            ("GET", f"{machine}/agent/get-osinfo", _NOTHING, self._osinfo),
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

    async def _nodes(self, _call: Call) -> object:
        return [
            {
                "node": node,
                "status": "offline" if node in self.inventory.down else "online",
                "type": "node",
                "id": f"node/{node}",
            }
            for node in self.inventory.nodes
        ]

    async def _network(self, call: Call) -> object:
        wanted = call.parameters.get("type", "bridge")
        shown = self.bridges if wanted in {"bridge", "any_bridge", "any_local_bridge"} else []
        return [{"iface": name, "type": "bridge", "active": 1, "autostart": 1, "method": "static"} for name in shown]

    async def _resources(self, call: Call) -> object:
        if call.parameters.get("type", "vm") != "vm":
            return []
        return [
            self._resource(machine)
            for machine in self.inventory.machines.values()
            if "VM.Audit" in self.access.effective(f"/vms/{machine.vmid}")
        ]

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

    async def _create(self, call: Call) -> object:
        given = call.parameters
        self.access.require_machine(int(given["vmid"]), given.get("pool"), "VM.Allocate", *_CONFIG_PRIVILEGES)
        for name in self.storages[call.node].all:
            if any(value.startswith(f"{name}:") for value in given.values()):
                self.access.require(f"/storage/{name}", "Datastore.AllocateSpace")
            if any(f"import-from={name}:" in value for value in given.values()):
                self.access.require(f"/storage/{name}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        self._require_bridges(given)
        return self.machines.create(self.access.token_id, call.node, given)

    def _require_bridges(self, given: Mapping[str, str]) -> None:
        for bridge in re.findall(r"bridge=(\w+)", given.get("net0", "")):
            if bridge not in self.bridges:
                raise ApiError(500, f"bridge '{bridge}' does not exist")
            self.access.require(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")

    async def _config(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        machine = self._machine(call)
        config: dict[str, object] = {**machine.config, "digest": machine.digest}
        if "description" in config:
            # It is kept as comment lines and comes back with a line break at its end.
            config["description"] = f"{config['description']}\n"
        return config

    async def _configure(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", *_CONFIG_PRIVILEGES, any_of=True)
        self._machine(call)
        self._require_bridges(call.parameters)
        self.machines.configure(call.vmid, call.parameters)
        return None

    async def _configure_later(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", *_CONFIG_PRIVILEGES, any_of=True)
        self._machine(call)

        async def work(_log: Log) -> None:
            self.machines.configure(call.vmid, call.parameters)

        return self.workers.fork("qmconfig", str(call.vmid), self.access.token_id, work)

    async def _resize(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Config.Disk")
        self._machine(call)
        given = call.parameters
        return self.machines.resize(self.access.token_id, call.vmid, given["disk"], given["size"])

    async def _template(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        self._machine(call)
        return self.machines.convert(self.access.token_id, call.vmid, call.parameters.get("disk"))

    async def _clone(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Clone")
        self.access.require_machine(int(call.parameters["newid"]), call.parameters.get("pool"), "VM.Allocate")
        self._machine(call)
        return self.machines.clone(self.access.token_id, call.vmid, call.parameters)

    async def _destroy(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        self._machine(call)
        return self.machines.destroy(self.access.token_id, call.vmid, call.parameters)

    async def _status(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        resource = self._resource(self._machine(call))
        return {key: value for key, value in resource.items() if key not in {"id", "type", "node", "pool"}} | {
            "ha": {"managed": 0}
        }

    async def _start(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        self._machine(call)
        return self.machines.start(self.access.token_id, call.vmid)

    async def _stop(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        self._machine(call)
        return self.machines.stop(self.access.token_id, call.vmid)

    async def _ping(self, call: Call) -> object:
        self._require_agent(call)
        await self.guests.ask_agent(self._machine(call), "guest-ping")
        return {"result": {}}

    async def _osinfo(self, call: Call) -> object:
        self._require_agent(call)
        return {"result": await self.guests.ask_agent(self._machine(call), "guest-get-osinfo")}

    def _require_agent(self, call: Call) -> None:
        """Proxmox VE 9 gave the agent a privilege of its own; 8.x knows it as the monitor's."""
        old = self.version.startswith("8.")
        self.access.require(f"/vms/{call.vmid}", "VM.Monitor" if old else "VM.GuestAgent.Audit")

    def _machine(self, call: Call) -> Machine:
        return self.inventory.machine(call.vmid, call.node)

    async def _tasks(self, call: Call) -> object:
        given = call.parameters
        source, limit = given.get("source", "archive"), int(given.get("limit", "50"))
        found = [
            task
            for task in reversed(self.inventory.tasks.values())
            if task.node == call.node
            and (source == "all" or (task.exitstatus is None) == (source == "active"))
            and given.get("typefilter") in {None, task.type}
            and given.get("vmid") in {None, task.id}
            and given.get("userfilter", "") in task.user
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
            raise ApiError(400, "no such task")
        return self.inventory.tasks[upid]

    def _resource(self, machine: Machine) -> dict[str, object]:
        config = machine.config
        disk = str(config.get("scsi0", "")).partition(",")[0]
        node = self.inventory.node_of(machine)
        path = self.storages[node].path(disk) if disk else None
        pool = self.access.pool_of(machine.vmid)
        optional = {key: config[key] for key in ("tags", "lock") if key in config}
        optional |= {"pool": pool} if pool is not None else {}
        return {
            "id": f"qemu/{machine.vmid}",
            "type": "qemu",
            "vmid": machine.vmid,
            "node": node,
            "name": config.get("name", f"VM {machine.vmid}"),
            "status": "running" if self.guests.running(machine.vmid) else "stopped",
            "template": 1 if machine.is_template else 0,
            "maxdisk": path.stat().st_size if path is not None and path.exists() else 0,
            "maxmem": int(config.get("memory", 512)) << 20,
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
        "user": task.user,
    }
    return entry if task.exitstatus is None else {**entry, "status": task.exitstatus, "endtime": task.endtime}
