"""The calls below `/nodes/{node}/qemu`: which rights each needs, and its answer's shape.

After qemu-server's API2/Qemu.pm and API2/Qemu/Agent.pm; rights are looked at before whether a machine is there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hyops_lab.proxmox import machines as shapes
from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError, denied, takes
from hyops_lab.proxmox.call import Call, Route
from hyops_lab.proxmox.disks import require_access
from hyops_lab.proxmox.drives import DRIVE, parse_drive
from hyops_lab.proxmox.guests import Guests
from hyops_lab.proxmox.inventory import Inventory, Machine
from hyops_lab.proxmox.machines import Machines
from hyops_lab.proxmox.privileges import CONFIG_PRIVILEGES, require_options
from hyops_lab.proxmox.storages import Storages
from hyops_lab.proxmox.workers import Log, Workers

_NOTHING = takes()
_NOT_OPTIONS = {"vmid", "pool", "storage", "start", "delete", "digest", "revert"}
_CLOUD_INIT = re.compile(r"ci.*|sshkeys|nameserver|searchdomain|ipconfig\d+|name")


@dataclass
class MachineCalls:
    """The calls to the nodes' machines. `version` is that of Proxmox VE."""

    access: Access
    inventory: Inventory
    storages: Mapping[str, Storages]
    workers: Workers
    machines: Machines
    guests: Guests
    bridges: list[str]
    version: str

    def routes(self) -> list[Route]:
        """Return method, path, parameters and handler of every call."""
        machine = "/nodes/{node}/qemu/{vmid:[0-9]+}"
        return [
            ("GET", "/nodes/{node}/qemu", takes(booleans="full"), self._list),
            ("POST", "/nodes/{node}/qemu", shapes.CREATE, self._create),
            ("GET", f"{machine}/config", takes(strings="snapshot", booleans="current"), self._config),
            ("GET", f"{machine}/pending", _NOTHING, self._pending),
            ("GET", f"{machine}/cloudinit", _NOTHING, self._cloudinit),
            ("GET", f"{machine}/snapshot", _NOTHING, self._snapshots),
            ("PUT", f"{machine}/config", shapes.CONFIGURE, self._configure),
            ("POST", f"{machine}/config", shapes.CONFIGURE, self._configure_later),
            ("PUT", f"{machine}/resize", shapes.RESIZE, self._resize),
            ("POST", f"{machine}/template", shapes.TEMPLATE, self._template),
            ("POST", f"{machine}/clone", shapes.CLONE, self._clone),
            ("DELETE", machine, shapes.DESTROY, self._destroy),
            ("GET", f"{machine}/status/current", _NOTHING, self._status),
            ("POST", f"{machine}/status/start", shapes.START, self._start),
            ("POST", f"{machine}/status/stop", shapes.START, self._stop),
            ("POST", f"{machine}/status/shutdown", shapes.SHUTDOWN, self._stop),
            ("POST", f"{machine}/agent/ping", _NOTHING, self._ping),
            ("GET", f"{machine}/agent/get-osinfo", _NOTHING, self._osinfo),
        ]

    def reported(self, machine: Machine) -> dict[str, object]:
        """Return what a node says of a machine from its configuration and its process (QemuServer.pm, `vmstatus`)."""
        config = machine.config
        disk = str(config.get("scsi0", "")).partition(",")[0]
        path = self.storages[self.inventory.node_of(machine)].path(disk) if disk else None
        return {
            "name": config.get("name", f"VM {machine.vmid}"),
            "status": "running" if self.guests.running(machine.vmid) else "stopped",
            "template": 1 if machine.is_template else 0,
            "maxdisk": path.stat().st_size if path is not None and path.exists() else 0,
            "maxmem": int(config.get("memory", 512)) << 20,
            "uptime": 0,
            "cpu": 0,
            "mem": 0,
        }

    async def _list(self, call: Call) -> object:
        return [
            self._listed(machine)
            for machine in self.inventory.machines.values()
            if self.inventory.node_of(machine) == call.node and self.access.has(f"/vms/{machine.vmid}", "VM.Audit")
        ]

    def _listed(self, machine: Machine) -> dict[str, object]:
        reported = self.reported(machine)
        if not machine.is_template:
            del reported["template"]
        cores = machine.config.get("cores", 1)
        known = {key: machine.config[key] for key in ("lock", "tags") if key in machine.config}
        return {"vmid": machine.vmid, "cpus": cores, **reported, **known}

    async def _create(self, call: Call) -> object:
        given, vmid, pool = call.parameters, int(call.parameters["vmid"]), call.parameters.get("pool")
        self.access.require_pool(pool)
        if given.get("start") == "1":
            self.access.require_machine(vmid, pool, "VM.PowerMgmt")
        on_pool = pool is not None and self.access.has(f"/pool/{pool}", "VM.Allocate")
        if not on_pool and not self.access.has(f"/vms/{vmid}", "VM.Allocate"):
            raise denied()
        require_access(self.access, self.storages[call.node], vmid, given)
        require_options(self.access, vmid, pool, given.keys() - _NOT_OPTIONS)
        self._require_bridges(given)
        return self.machines.create(self.access.token_id, call.node, given)

    def _require_bridges(self, given: Mapping[str, object]) -> None:
        """Refuse a network card on a bridge that the token may not use; whether there is one is seen at the start."""
        for name, value in given.items():
            for bridge in re.findall(r"bridge=(\w+)", str(value)) if re.fullmatch(r"net\d+", name) else []:
                self.access.require(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")

    async def _config(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        machine = self._machine(call)
        return {**machine.config, "digest": machine.digest}

    async def _pending(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        return [{"key": key, "value": str(value)} for key, value in sorted(self._machine(call).config.items())]

    async def _cloudinit(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        config = self._machine(call).config
        return [
            {"key": key, "value": str(value)} for key, value in sorted(config.items()) if _CLOUD_INIT.fullmatch(key)
        ]

    async def _snapshots(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        digest, running = self._machine(call).digest, int(self.guests.running(call.vmid))
        return [{"name": "current", "description": "You are here!", "digest": digest, "running": running}]

    async def _configure(self, call: Call) -> object:
        self._require_change(call)
        self.machines.configure(call.vmid, call.parameters)
        return None

    async def _configure_later(self, call: Call) -> object:
        self._require_change(call)

        async def work(_log: Log) -> None:
            self.machines.configure(call.vmid, call.parameters)

        return self.workers.fork("qmconfig", str(call.vmid), self.access.token_id, work, node=call.node)

    def _require_change(self, call: Call) -> None:
        self.access.require(f"/vms/{call.vmid}", *CONFIG_PRIVILEGES, any_of=True)
        given = call.parameters
        removed = given.get("delete", "").replace(",", " ").split()
        if not removed and not given.keys() - {"digest"}:
            raise ApiError(500, "no options specified")
        require_options(self.access, call.vmid, None, {*removed, *(given.keys() - _NOT_OPTIONS)})
        self._require_bridges(given)
        self._machine(call)

    async def _resize(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Config.Disk")
        machine, given = self._machine(call), call.parameters
        storage = str(machine.config.get(given["disk"], "")).partition(":")[0]
        if storage:
            self.access.require(f"/storage/{storage}", "Datastore.AllocateSpace")
        return self.machines.resize(self.access.token_id, call.vmid, given["disk"], given["size"])

    async def _template(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        self._machine(call)
        return self.machines.convert(self.access.token_id, call.vmid, call.parameters.get("disk"))

    async def _clone(self, call: Call) -> object:
        new, pool = int(call.parameters["newid"]), call.parameters.get("pool")
        self.access.require(f"/vms/{call.vmid}", "VM.Clone")
        on_pool = pool is not None and self.access.has(f"/pool/{pool}", "VM.Allocate")
        if not on_pool and not self.access.has(f"/vms/{new}", "VM.Allocate"):
            raise denied()
        self.access.require_pool(pool)
        config = self.inventory.require_there(call.vmid, call.node).config
        for name in config:
            volid, options = parse_drive(str(config[name]))
            if DRIVE.fullmatch(name) and options.get("media") != "cdrom":
                self.access.require(f"/storage/{volid.partition(':')[0]}", "Datastore.AllocateSpace")
        self._require_bridges(config)
        return self.machines.clone(self.access.token_id, call.vmid, call.parameters)

    async def _destroy(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        self._machine(call)
        return self.machines.destroy(self.access.token_id, call.vmid, call.parameters)

    async def _status(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        machine = self._machine(call)
        return {**self._listed(machine), "ha": {"managed": 0}, "qmpstatus": self.reported(machine)["status"]}

    async def _start(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        machine = self.inventory.machines.get(call.vmid)
        for bridge in re.findall(r"bridge=(\w+)", str(machine.config.get("net0", "")) if machine else ""):
            if bridge not in self.bridges:
                raise ApiError(500, f"bridge '{bridge}' does not exist")
        return self.machines.start(self.access.token_id, call.vmid, call.node)

    async def _stop(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        return self.machines.stop(self.access.token_id, call.vmid, call.node)

    async def _ping(self, call: Call) -> object:
        self._require_agent(call)
        await self.guests.ask_agent(self._machine(call), "guest-ping")
        return {"result": {}}

    async def _osinfo(self, call: Call) -> object:
        self._require_agent(call)
        return {"result": await self.guests.ask_agent(self._machine(call), "guest-get-osinfo")}

    def _require_agent(self, call: Call) -> None:
        """Proxmox VE 9 gave the agent a privilege of its own; 8.x knows it as the monitor's."""
        privilege = "VM.Monitor" if self.version.startswith("8.") else "VM.GuestAgent.Audit"
        self.access.require(f"/vms/{call.vmid}", privilege)

    def _machine(self, call: Call) -> Machine:
        return self.inventory.machine(call.vmid, call.node)
