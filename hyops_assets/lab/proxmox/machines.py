"""Machines: create with import, configure, resize, convert to a template, clone, destroy, start and stop.

The order of writes is that of qemu-server: a machine under creation has a configuration with nothing but a
lock; a template has its flag before its disks are renamed.
"""

import re
from collections.abc import Mapping

from hyops_assets.lab.proxmox import disks
from hyops_assets.lab.proxmox.access import Access
from hyops_assets.lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_assets.lab.proxmox.drives import DRIVE, UNITS, format_size, parse_drive, print_drive
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


class Machines:
    """Everything below `/nodes/{node}/qemu`."""

    def __init__(
        self,
        access: Access,
        inventory: Inventory,
        storages: Mapping[str, Storages],
        workers: Workers,
        guests: Guests,
    ) -> None:
        self._access = access
        self._inventory = inventory
        self._storages = storages
        self._workers = workers
        self._guests = guests

    def create(self, user: str, node: str, given: Mapping[str, str]) -> str:
        """Create a machine; its disks are written by a worker, its configuration at the worker's end."""
        vmid = int(given["vmid"])
        wanted = self._configuration({name: value for name, value in given.items() if name not in {"vmid", "pool"}})
        start = wanted.pop("start", 0)
        if vmid in self._inventory.machines:
            taken = f"VM {vmid} already exists on node '{self._inventory.node_of(self._inventory.machines[vmid])}'"
            raise ApiError(500, f"unable to create VM {vmid} - {taken}")
        disks.require_sources(wanted, self._storages[node])
        machine = self._begin(vmid, node, "create", given.get("pool"))
        volumes: list[str] = []

        async def work(log: Log) -> None:
            machine.config = await disks.allocate(vmid, wanted, self._storages[node], volumes, log)
            if start:
                await self._guests.start(machine, self._storages[node])

        return self._workers.fork(
            "qmcreate", str(vmid), user, work, undo=lambda: self._discard(machine, volumes), node=node
        )

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
        if any(DRIVE.fullmatch(name) for name in (*config, *removed)):
            raise parameter_error(_="this stand-in changes no disks of an existing machine")
        for name in removed:
            machine.config.pop(name, None)
        machine.config |= config
        self._inventory.save()

    def resize(self, user: str, vmid: int, disk: str, size: str) -> str:
        """Grow a disk, to a size or by one that starts with +."""
        machine = self._inventory.machine(vmid)
        machine.require_unlocked()
        volid, options = parse_drive(str(machine.config.get(disk, "")))
        if not volid:
            raise ApiError(500, f"disk '{disk}' does not exist")
        match = re.fullmatch(r"(\+?)(\d+)([KMGT]?)", size)
        if match is None:
            raise parameter_error(size="value does not match the regex pattern")
        path = self._of(machine).path(volid)
        now = path.stat().st_size
        wanted = int(match[2]) * UNITS[match[3]] + (now if match[1] else 0)
        if wanted < now:
            raise ApiError(500, "shrinking disks is not supported")

        async def work(log: Log) -> None:
            with path.open("r+b") as volume:
                volume.truncate(wanted)
            machine.config[disk] = print_drive(volid, {**options, "size": format_size(wanted)})
            log(f"resized {volid} to {wanted}")

        return self._workers.fork("resize", str(vmid), user, work, node=machine.node)

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
            storages = self._of(machine)
            for name in [name for name in machine.config if DRIVE.fullmatch(name)]:
                volid, options = parse_drive(str(machine.config[name]))
                if options.get("media") == "cdrom" or (disk and name != disk) or ":base-" in volid:
                    continue
                if not storages.get(volid.partition(":")[0]).has_bases:
                    continue
                machine.config[name] = print_drive(storages.to_base(volid), options)
                log(f"Renamed volume of {name} to {machine.config[name]}")
                self._inventory.save()

        return self._workers.fork("qmtemplate", str(vmid), user, work, node=machine.node)

    def clone(self, user: str, vmid: int, given: Mapping[str, str]) -> str:
        """Clone a machine. Every key is copied but the template flag, as qemu-server does: description too."""
        source = self._inventory.machine(vmid)
        source.require_unlocked()
        drives = [parse_drive(str(source.config[name])) for name in source.config if DRIVE.fullmatch(name)]
        volids = [volid for volid, options in drives if options.get("media") != "cdrom"]
        new = int(given["newid"])
        full = given.get("full", "0" if source.is_template else "1") == "1"
        if new in self._inventory.machines:
            raise ApiError(500, f"unable to create VM {new}: config file already exists")
        if not full and not (source.is_template and all(":base-" in volid for volid in volids)):
            raise ApiError(500, "Linked clone feature is not supported: not every disk is a base volume")
        machine = self._begin(new, source.node, "clone", given.get("pool"))
        volumes: list[str] = []

        async def work(log: Log) -> None:
            config = await disks.copy(source, new, self._of(source), volumes, full=full)
            config["name"] = given.get("name", f"Copy-of-VM-{source.config.get('name', vmid)}")
            if "description" in given:
                config["description"] = given["description"]
            machine.config = config
            log(f"cloned {vmid} to {new}")

        return self._workers.fork(
            "qmclone", str(vmid), user, work, undo=lambda: self._discard(machine, volumes), node=machine.node
        )

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
            storages = self._of(machine)
            mine = [parse_drive(str(value))[0] for name, value in machine.config.items() if DRIVE.fullmatch(name)]
            for volid in mine:
                if ":base-" in volid and storages.linked_to(volid):
                    raise ApiError(500, f"base volume '{volid}' is still in use by linked cloned")
            orphans = storages.owned_by(vmid) if given.get("destroy-unreferenced-disks") == "1" else []
            for volid in {*mine, *orphans}:
                storages.free(volid)
                log(f"removed {volid}")
            self._forget(vmid)

        return self._workers.fork("qmdestroy", str(vmid), user, work, node=machine.node)

    def start(self, user: str, vmid: int) -> str:
        """Start a guest; the worker fails where the stand-in boots none."""
        machine = self._inventory.machine(vmid)
        machine.require_unlocked()
        if machine.is_template:
            raise ApiError(500, "you can't start a vm if it's a template")

        async def work(log: Log) -> None:
            await self._guests.start(machine, self._of(machine))
            log(f"started {vmid}")

        return self._workers.fork("qmstart", str(vmid), user, work, node=machine.node)

    def stop(self, user: str, vmid: int) -> str:
        """Stop a guest hard."""
        machine = self._inventory.machine(vmid)

        async def work(log: Log) -> None:
            await self._guests.stop(vmid)
            log(f"stopped {vmid}")

        return self._workers.fork("qmstop", str(vmid), user, work, node=machine.node)

    def _of(self, machine: Machine) -> Storages:
        """Return the storages as the machine's node sees them."""
        return self._storages[self._inventory.node_of(machine)]

    def _begin(self, vmid: int, node: str, lock: str, pool: str | None) -> Machine:
        """Register a machine that has nothing but a lock yet; its pool knows it from here on."""
        machine = self._inventory.machines[vmid] = Machine(vmid, {"lock": lock}, node)
        if pool is not None:
            self._access.pools[pool].add(vmid)
        return machine

    def _forget(self, vmid: int) -> None:
        self._inventory.machines.pop(vmid, None)
        for members in self._access.pools.values():
            members.discard(vmid)

    def _discard(self, machine: Machine, volumes: list[str]) -> None:
        """Take back a machine that did not come to be, and its volumes."""
        for volid in volumes:
            self._of(machine).free(volid)
        self._forget(machine.vmid)

    def _configuration(self, given: Mapping[str, str]) -> Config:
        """Return parameters as configuration values: numbers and flags are integers."""
        name = given.get("name")
        if name is not None and not re.fullmatch(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?)+", name):
            raise parameter_error(name="invalid format - value does not look like a valid DNS name")
        numbers = f"{_NUMBERS} {_FLAGS} start".split()
        return {key: int(value) if key in numbers else value for key, value in given.items()}
