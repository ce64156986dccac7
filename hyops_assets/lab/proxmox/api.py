"""The calls of the API: which there are, what each takes, which privileges it needs, and its answer's shape."""

import re
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyops_assets.lab.proxmox import machines as shapes
from hyops_assets.lab.proxmox.access import Access
from hyops_assets.lab.proxmox.answers import ApiError, Parameters, parameter_error, takes
from hyops_assets.lab.proxmox.guests import Guests
from hyops_assets.lab.proxmox.inventory import Inventory, Machine, Task
from hyops_assets.lab.proxmox.machines import Machines
from hyops_assets.lab.proxmox.storages import Storages
from hyops_assets.lab.proxmox.workers import Log, Workers

_NOTHING = takes()
_DOWNLOAD = takes(
    "url content filename", strings="checksum checksum-algorithm compression", booleans="verify-certificates"
)
_UPLOAD = takes("content filename", strings="checksum checksum-algorithm")
_TASKS = takes(
    strings="source typefilter userfilter statusfilter", integers="limit start since until vmid", booleans="errors"
)
_CONFIG_PRIVILEGES = tuple(
    f"VM.Config.{name}" for name in ["Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit"]
)


@dataclass
class Call:
    """One request of a known caller: the components of its path, and the parameters of query and body.

    `upload` is the spooled file of a multipart request; who takes it moves it away.
    """

    path: dict[str, str]
    parameters: dict[str, str]
    upload: Path | None = None

    @property
    def vmid(self) -> int:
        """The VMID in the path."""
        return int(self.path["vmid"])

    @property
    def storage(self) -> str:
        """The storage in the path."""
        return self.path["storage"]


Handler = Callable[[Call], Awaitable[object]]
Route = tuple[str, str, Parameters, Handler]


@dataclass
class Api:
    """The calls of one node."""

    version: str
    access: Access
    inventory: Inventory
    storages: Storages
    workers: Workers
    machines: Machines
    guests: Guests
    bridges: list[str] = field(default_factory=lambda: ["vmbr0"])

    def routes(self) -> list[Route]:
        """Return method, path, parameters and handler of every call."""
        node, machine, storage = "/nodes/{node}", "/nodes/{node}/qemu/{vmid:[0-9]+}", "/nodes/{node}/storage/{storage}"
        return [
            ("GET", "/version", _NOTHING, self._version),
            ("GET", "/access/permissions", takes(strings="path userid"), self._permissions),
            ("GET", "/nodes", _NOTHING, self._nodes),
            ("GET", "/cluster/resources", takes(strings="type"), self._resources),
            ("GET", "/cluster/nextid", takes(integers="vmid"), self._next_id),
            ("GET", f"{node}/network", takes(strings="type"), self._network),
            ("GET", f"{storage}/status", _NOTHING, self._storage_status),
            ("GET", f"{storage}/content", takes(strings="content", integers="vmid"), self._content),
            ("GET", f"{storage}/content/{{volume:.+}}", _NOTHING, self._volume),
            ("DELETE", f"{storage}/content/{{volume:.+}}", takes(integers="delay"), self._delete_volume),
            ("POST", f"{storage}/download-url", _DOWNLOAD, self._download),
            ("POST", f"{storage}/upload", _UPLOAD, self._upload),
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
        return [{"node": self.inventory.node, "status": "online", "type": "node", "id": f"node/{self.inventory.node}"}]

    async def _network(self, call: Call) -> object:
        wanted = call.parameters.get("type", "bridge")
        shown = self.bridges if wanted in {"bridge", "any_bridge", "any_local_bridge"} else []
        return [{"iface": name, "type": "bridge", "active": 1, "autostart": 1, "method": "static"} for name in shown]

    async def _resources(self, call: Call) -> object:
        if call.parameters.get("type", "vm") != "vm":
            return []
        visible = "VM.Audit" in self.access.effective("/vms")
        return [self._resource(machine) for machine in self.inventory.machines.values()] if visible else []

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

    async def _storage_status(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        storage = self.storages.get(call.storage)
        used = sum(int(entry["size"]) for entry in self.storages.volumes(call.storage))
        total = 1 << 40
        return {
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "active": 1,
            "enabled": 1,
            "shared": 0,
            "total": total,
            "used": used,
            "avail": total - used,
        }

    async def _content(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        wanted, vmid = call.parameters.get("content"), call.parameters.get("vmid")
        return [
            entry
            for entry in self.storages.volumes(call.storage)
            if wanted in {None, entry["content"]} and vmid in {None, str(entry.get("vmid"))}
        ]

    async def _volume(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        volid = _volid(call)
        for entry in self.storages.volumes(call.storage):
            if entry["volid"] == volid:
                path = str(self.storages.path(volid))
                return {"path": path, "size": entry["size"], "used": entry["size"], "format": entry["format"]}
        raise ApiError(500, f"volume '{volid}' does not exist")

    async def _delete_volume(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Allocate")
        volid = _volid(call)

        async def work(log: Log) -> None:
            self.storages.free(volid)
            log(f"Removed volume '{volid}'")

        return self.workers.fork("imgdel", _subject(volid), self.access.token_id, work)

    async def _download(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.AllocateTemplate")
        if "Sys.AccessNetwork" not in self.access.effective(f"/nodes/{self.inventory.node}"):
            self.access.require("/", "Sys.Audit", "Sys.Modify")
        given = call.parameters
        if not re.match(r"https?://.*", given["url"]):
            raise parameter_error(url="value does not match the regex pattern")
        sha256 = _checksum(given)
        target = self.storages.import_target(call.storage, given["filename"])

        async def work(log: Log) -> None:
            if "compression" in given:
                raise ApiError(500, "decompression not supported for import")
            await self.storages.download(given["url"], target, sha256, log)

        return self.workers.fork("download", _subject(target.name), self.access.token_id, work)

    async def _upload(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.AllocateTemplate")
        spooled, sha256 = call.upload, _checksum(call.parameters)
        if spooled is None:
            raise ApiError(500, "missing temporary file name")
        target = self.storages.import_target(call.storage, call.parameters["filename"])
        # The API takes the spooled file over; the worker removes it, whatever happens.
        held = spooled.rename(spooled.with_suffix(".taken"))

        async def work(log: Log) -> None:
            try:
                log(f"starting file import from: {held.name}")
                await self.storages.require_image(held, target.suffix, sha256, log)
                held.replace(target)
                log("finished file import successfully")
            finally:
                held.unlink(missing_ok=True)

        return self.workers.fork("imgcopy", "", self.access.token_id, work)

    async def _create(self, call: Call) -> object:
        vmid = call.parameters["vmid"]
        self.access.require(f"/vms/{vmid}", "VM.Allocate", *_CONFIG_PRIVILEGES)
        for name in self.storages.all:
            if any(value.startswith(f"{name}:") for value in call.parameters.values()):
                self.access.require(f"/storage/{name}", "Datastore.AllocateSpace")
        for bridge in re.findall(r"bridge=(\w+)", call.parameters.get("net0", "")):
            if bridge not in self.bridges:
                raise ApiError(500, f"bridge '{bridge}' does not exist")
            self.access.require(f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")
        return self.machines.create(self.access.token_id, call.parameters)

    async def _config(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        machine = self.inventory.machine(call.vmid)
        config: dict[str, object] = {**machine.config, "digest": machine.digest}
        if "description" in config:
            # It is kept as comment lines and comes back with a line break at its end.
            config["description"] = f"{config['description']}\n"
        return config

    async def _configure(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", *_CONFIG_PRIVILEGES, any_of=True)
        self.machines.configure(call.vmid, call.parameters)
        return None

    async def _configure_later(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", *_CONFIG_PRIVILEGES, any_of=True)

        async def work(_log: Log) -> None:
            self.machines.configure(call.vmid, call.parameters)

        return self.workers.fork("qmconfig", str(call.vmid), self.access.token_id, work)

    async def _resize(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Config.Disk")
        given = call.parameters
        return self.machines.resize(self.access.token_id, call.vmid, given["disk"], given["size"])

    async def _template(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        return self.machines.convert(self.access.token_id, call.vmid, call.parameters.get("disk"))

    async def _clone(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Clone")
        self.access.require(f"/vms/{call.parameters['newid']}", "VM.Allocate")
        return self.machines.clone(self.access.token_id, call.vmid, call.parameters)

    async def _destroy(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Allocate")
        return self.machines.destroy(self.access.token_id, call.vmid, call.parameters)

    async def _status(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.Audit")
        resource = self._resource(self.inventory.machine(call.vmid))
        return {key: value for key, value in resource.items() if key not in {"id", "type", "node"}} | {
            "ha": {"managed": 0}
        }

    async def _start(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        return self.machines.start(self.access.token_id, call.vmid)

    async def _stop(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.PowerMgmt")
        return self.machines.stop(self.access.token_id, call.vmid)

    async def _ping(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.GuestAgent.Audit")
        await self.guests.ask_agent(self.inventory.machine(call.vmid), "guest-ping")
        return {"result": {}}

    async def _osinfo(self, call: Call) -> object:
        self.access.require(f"/vms/{call.vmid}", "VM.GuestAgent.Audit")
        return {"result": await self.guests.ask_agent(self.inventory.machine(call.vmid), "guest-get-osinfo")}

    async def _tasks(self, call: Call) -> object:
        given = call.parameters
        source, limit = given.get("source", "archive"), int(given.get("limit", "50"))
        found = [
            task
            for task in reversed(self.inventory.tasks.values())
            if (source == "all" or (task.exitstatus is None) == (source == "active"))
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
        path = self.storages.path(disk) if disk else None
        optional = {key: config[key] for key in ("tags", "lock") if key in config}
        return {
            "id": f"qemu/{machine.vmid}",
            "type": "qemu",
            "vmid": machine.vmid,
            "node": self.inventory.node,
            "name": config.get("name", f"VM {machine.vmid}"),
            "status": "running" if self.guests.running(machine.vmid) else "stopped",
            "template": 1 if machine.is_template else 0,
            "maxdisk": path.stat().st_size if path is not None and path.exists() else 0,
            "maxmem": int(config.get("memory", 512)) << 20,
            **optional,
        }


def _volid(call: Call) -> str:
    volume = call.path["volume"]
    return volume if volume.startswith(f"{call.storage}:") else f"{call.storage}:{volume}"


def _checksum(given: dict[str, str]) -> str | None:
    """Return the expected SHA-256. Each of the two parameters requires the other."""
    algorithm, checksum = given.get("checksum-algorithm"), given.get("checksum")
    if (algorithm is None) != (checksum is None):
        raise parameter_error(checksum="missing property 'checksum-algorithm'")
    if algorithm not in {None, "sha256"}:
        raise parameter_error(checksum_algorithm="this stand-in knows sha256 only")
    if given["content"] != "import":
        raise parameter_error(content="this stand-in takes images for import only")
    return checksum.lower() if checksum else None


def _subject(text: str) -> str:
    """Return a worker's subject as it stands in a UPID, where a colon would end it."""
    return urllib.parse.quote(text, safe="")


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
