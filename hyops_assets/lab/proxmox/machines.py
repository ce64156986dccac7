"""Machines: create with import, configure, resize, convert to a template, clone, destroy, start and stop.

The order of writes is that of qemu-server: a machine under creation has a configuration with nothing but a
lock; a template has its flag before its disks are renamed.
"""

import re
import uuid
from collections.abc import Mapping

from hyops_assets.lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_assets.lab.proxmox.guests import Guests
from hyops_assets.lab.proxmox.inventory import Config, Inventory, Machine
from hyops_assets.lab.proxmox.storages import Storages
from hyops_assets.lab.proxmox.workers import Log, Workers

_OPTIONS = "name description tags ostype bios machine cpu scsihw boot vga agent smbios1 memory ciuser sshkeys vmgenid"
_NUMBERS = "cores sockets balloon"
_FLAGS = "onboot protection template acpi kvm tablet numa"
_FAMILIES = "scsi ide virtio sata net serial ipconfig"

CREATE = takes(
    "vmid", strings=f"{_OPTIONS} pool", integers=f"vmid {_NUMBERS}", booleans=f"{_FLAGS} start", indexed=_FAMILIES
)
CONFIGURE = takes(strings=f"{_OPTIONS} delete digest", integers=_NUMBERS, booleans=_FLAGS, indexed=_FAMILIES)
CLONE = takes("newid", strings="name description pool storage format", integers="newid", booleans="full")
RESIZE = takes("disk size", strings="digest")
TEMPLATE = takes(strings="disk")
DESTROY = takes(booleans="purge destroy-unreferenced-disks skiplock")
START = takes(integers="timeout", booleans="skiplock")

CLOUDINIT_BYTES = 4 << 20
_DRIVE = re.compile(r"(scsi|ide|virtio|sata)\d+")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Machines:
    """Everything below `/nodes/{node}/qemu`."""

    def __init__(self, inventory: Inventory, storages: Storages, workers: Workers, guests: Guests) -> None:
        self._inventory = inventory
        self._storages = storages
        self._workers = workers
        self._guests = guests

    def create(self, user: str, given: Mapping[str, str]) -> str:
        """Create a machine; its disks are written by a worker, its configuration at the worker's end."""
        vmid = int(given["vmid"])
        wanted = self._configuration({name: value for name, value in given.items() if name not in {"vmid", "pool"}})
        start = wanted.pop("start", 0)
        if vmid in self._inventory.machines:
            taken = f"VM {vmid} already exists on node '{self._inventory.node}'"
            raise ApiError(500, f"unable to create VM {vmid} - {taken}")
        self._require_sources(wanted)
        machine = self._inventory.machines[vmid] = Machine(vmid, {"lock": "create"})
        volumes: list[str] = []

        async def work(log: Log) -> None:
            machine.config = await self._allocate(vmid, wanted, volumes, log)
            if start:
                await self._guests.start(machine, self._storages)

        return self._workers.fork("qmcreate", str(vmid), user, work, undo=lambda: self._discard(vmid, volumes))

    def configure(self, vmid: int, given: Mapping[str, str]) -> None:
        """Change a configuration at once."""
        machine = self._inventory.machine(vmid)
        machine.require_unlocked()
        wanted = dict(given)
        digest = wanted.pop("digest", machine.digest)
        if digest != machine.digest:
            raise ApiError(500, "detected modified configuration - file changed by other user? Try again.")
        removed = wanted.pop("delete", "").replace(",", " ").split()
        config = self._configuration(wanted)
        if any(_DRIVE.fullmatch(name) for name in (*config, *removed)):
            raise parameter_error(_="this stand-in changes no disks of an existing machine")
        for name in removed:
            machine.config.pop(name, None)
        machine.config |= config
        self._inventory.save()

    def resize(self, user: str, vmid: int, disk: str, size: str) -> str:
        """Grow a disk, to a size or by one that starts with +."""
        machine = self._inventory.machine(vmid)
        machine.require_unlocked()
        volid, options = _drive(str(machine.config.get(disk, "")))
        if not volid:
            raise ApiError(500, f"disk '{disk}' does not exist")
        match = re.fullmatch(r"(\+?)(\d+)([KMGT]?)", size)
        if match is None:
            raise parameter_error(size="value does not match the regex pattern")
        path = self._storages.path(volid)
        now = path.stat().st_size
        wanted = int(match[2]) * _UNITS[match[3]] + (now if match[1] else 0)
        if wanted < now:
            raise ApiError(500, "shrinking disks is not supported")

        async def work(log: Log) -> None:
            with path.open("r+b") as volume:
                volume.truncate(wanted)
            machine.config[disk] = _print_drive(volid, {**options, "size": format_size(wanted)})
            log(f"resized {volid} to {wanted}")

        return self._workers.fork("resize", str(vmid), user, work)

    def convert(self, user: str, vmid: int, disk: str | None) -> str:
        """Make a machine a template: the flag first, then its disks, one by one."""
        machine = self._inventory.machine(vmid)

        def check() -> None:
            machine.require_unlocked()
            if machine.is_template and disk is None:
                raise ApiError(500, "you can't convert a template to a template")
            if self._guests.running(vmid):
                raise ApiError(500, "you can't convert a VM to template if VM is running")

        check()

        async def work(log: Log) -> None:
            check()
            machine.config["template"] = 1
            self._inventory.save()
            for name in [name for name in machine.config if _DRIVE.fullmatch(name)]:
                volid, options = _drive(str(machine.config[name]))
                if options.get("media") == "cdrom" or (disk and name != disk) or ":base-" in volid:
                    continue
                machine.config[name] = _print_drive(self._storages.to_base(volid), options)
                log(f"Renamed volume of {name} to {machine.config[name]}")
                self._inventory.save()

        return self._workers.fork("qmtemplate", str(vmid), user, work)

    def clone(self, user: str, vmid: int, given: Mapping[str, str]) -> str:
        """Clone a machine. Every key is copied but the template flag, as qemu-server does: description too."""
        source = self._inventory.machine(vmid)
        source.require_unlocked()
        new = int(given["newid"])
        full = given.get("full", "0" if source.is_template else "1") == "1"
        if new in self._inventory.machines:
            raise ApiError(500, f"unable to create VM {new}: config file already exists")
        if not full and not source.is_template:
            raise ApiError(500, "Linked clone feature is not supported for a machine that is no template")
        machine = self._inventory.machines[new] = Machine(new, {"lock": "clone"})
        volumes: list[str] = []

        async def work(log: Log) -> None:
            config = await self._copy(source, new, volumes, full=full)
            config["name"] = given.get("name", f"Copy-of-VM-{source.config.get('name', vmid)}")
            if "description" in given:
                config["description"] = given["description"]
            machine.config = config
            log(f"cloned {vmid} to {new}")

        return self._workers.fork("qmclone", str(vmid), user, work, undo=lambda: self._discard(new, volumes))

    def destroy(self, user: str, vmid: int, given: Mapping[str, str]) -> str:
        """Remove a machine and its disks; refused while it runs, is protected, locked, or has linked clones."""
        machine = self._inventory.machine(vmid)
        if given.get("skiplock") == "1":
            raise parameter_error(skiplock="Only root may use this option.")
        if machine.config.get("protection") == 1:
            raise ApiError(500, f"can't remove VM {vmid} - protection mode enabled")
        if self._guests.running(vmid):
            raise ApiError(500, f"VM {vmid} is running - destroy failed")

        async def work(log: Log) -> None:
            machine.require_unlocked()
            mine = [_drive(str(value))[0] for name, value in machine.config.items() if _DRIVE.fullmatch(name)]
            for volid in mine:
                if ":base-" in volid and self._storages.linked_to(volid):
                    raise ApiError(500, f"base volume '{volid}' is still in use by linked cloned")
            orphans = self._storages.owned_by(vmid) if given.get("destroy-unreferenced-disks") == "1" else []
            for volid in {*mine, *orphans}:
                self._storages.free(volid)
                log(f"removed {volid}")
            del self._inventory.machines[vmid]

        return self._workers.fork("qmdestroy", str(vmid), user, work)

    def start(self, user: str, vmid: int) -> str:
        """Start a guest; the worker fails where the stand-in boots none."""
        machine = self._inventory.machine(vmid)
        machine.require_unlocked()
        if machine.is_template:
            raise ApiError(500, "you can't start a vm if it's a template")

        async def work(log: Log) -> None:
            await self._guests.start(machine, self._storages)
            log(f"started {vmid}")

        return self._workers.fork("qmstart", str(vmid), user, work)

    def stop(self, user: str, vmid: int) -> str:
        """Stop a guest hard."""
        self._inventory.machine(vmid)

        async def work(log: Log) -> None:
            await self._guests.stop(vmid)
            log(f"stopped {vmid}")

        return self._workers.fork("qmstop", str(vmid), user, work)

    def _discard(self, vmid: int, volumes: list[str]) -> None:
        """Take back a machine that did not come to be, and its volumes."""
        for volid in volumes:
            self._storages.free(volid)
        self._inventory.machines.pop(vmid, None)

    def _configuration(self, given: Mapping[str, str]) -> Config:
        """Return parameters as configuration values: numbers and flags are integers."""
        name = given.get("name")
        if name is not None and not re.fullmatch(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?)+", name):
            raise parameter_error(name="invalid format - value does not look like a valid DNS name")
        numbers = f"{_NUMBERS} {_FLAGS} start".split()
        return {key: int(value) if key in numbers else value for key, value in given.items()}

    def _require_sources(self, config: Config) -> None:
        """Refuse a disk that is imported from something that cannot be, before anything is created."""
        for name, value in config.items():
            if not _DRIVE.fullmatch(name):
                continue
            _, options = _drive(str(value))
            source = options.get("import-from")
            if source is None:
                continue
            if source.startswith("/"):
                raise ApiError(403, "Only root can pass arbitrary filesystem paths.")
            if ":iso/" in source:
                raise ApiError(
                    500, f"{name}: volume '{source}' has wrong type 'iso' - needs to be 'images' or 'import'"
                )
            if not self._storages.path(source).exists():
                raise ApiError(500, f"{name}: volume '{source}' does not exist")

    async def _allocate(self, vmid: int, wanted: Config, volumes: list[str], log: Log) -> Config:
        config = dict(wanted)
        for name, value in wanted.items():
            if not _DRIVE.fullmatch(name):
                continue
            request, options = _drive(str(value))
            storage, _, what = request.partition(":")
            if what == "cloudinit":
                volid = self._storages.allocate(storage, vmid, CLOUDINIT_BYTES, cloudinit=True)
                volumes.append(volid)
                config[name] = _print_drive(volid, {"media": "cdrom"})
                continue
            if what != "0" or "import-from" not in options:
                raise ApiError(500, f"unable to parse volume ID '{request}'")
            source = self._storages.path(options.pop("import-from"))
            size = await self._storages.virtual_size(source)
            volid = self._storages.allocate(storage, vmid, size)
            volumes.append(volid)
            log(f"importing {source.name} to {volid}")
            await self._storages.import_image(source, volid)
            allocated = self._storages.path(volid).stat().st_size
            config[name] = _print_drive(volid, {**options, "size": format_size(allocated)})
        config.setdefault("smbios1", f"uuid={uuid.uuid4()}")
        config["meta"] = "creation-qemu=10.0.2"
        return config

    async def _copy(self, source: Machine, new: int, volumes: list[str], *, full: bool) -> Config:
        config: Config = {name: value for name, value in source.config.items() if name != "template"}
        for name in [name for name in config if _DRIVE.fullmatch(name)]:
            volid, options = _drive(str(config[name]))
            storage = volid.partition(":")[0]
            if options.get("media") == "cdrom":
                copy = self._storages.allocate(storage, new, CLOUDINIT_BYTES, cloudinit=True)
            elif full:
                copy = self._storages.allocate(storage, new, self._storages.path(volid).stat().st_size)
                await self._storages.import_image(self._storages.path(volid), copy)
            else:
                copy = await self._storages.link(volid, new)
            volumes.append(copy)
            config[name] = _print_drive(copy, options)
        smbios = {key: value for key, value in _options(str(config.get("smbios1", ""))).items() if key != "uuid"}
        config["smbios1"] = ",".join(f"{key}={value}" for key, value in {"uuid": str(uuid.uuid4()), **smbios}.items())
        return config


def format_size(count: int) -> str:
    """Return a size as a configuration shows it: `64M`, `4G`."""
    for unit in ("T", "G", "M", "K"):
        if count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)


def _options(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _drive(text: str) -> tuple[str, dict[str, str]]:
    """Split a drive's property string into its volume and its options."""
    volid, _, rest = text.partition(",")
    return volid, _options(rest)


def _print_drive(volid: str, options: Mapping[str, str]) -> str:
    return ",".join([volid, *(f"{key}={value}" for key, value in options.items())])
