"""Machines: create with import, configure, resize, convert to a template, clone, destroy, start and stop.

The order of writes is that of qemu-server (API2/Qemu.pm, the methods of these names): a machine under creation has a
configuration with nothing but a lock, its tags are checked in the worker and its pool knows it last; a template has
its flag before its disks are renamed.
"""

import re
from collections.abc import Mapping

from hyops_lab.proxmox import disks
from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_lab.proxmox.drives import (
    DRIVE,
    NETWORK,
    UNITS,
    format_size,
    parse_drive,
    print_drive,
    with_address,
)
from hyops_lab.proxmox.guests import Guests
from hyops_lab.proxmox.inventory import Config, Inventory, Machine
from hyops_lab.proxmox.storages import Storages, is_base
from hyops_lab.proxmox.tags import TagRules, require_tags, tags_in, unique_tags
from hyops_lab.proxmox.workers import Log, Workers

_OPTIONS = (
    "name description tags ostype bios machine cpu scsihw boot vga agent smbios1 memory ciuser cipassword sshkeys"
    " vmgenid nameserver searchdomain"
)
_NO_OPTIONS = {"vmid", "pool", "storage"}
_NUMBERS = "cores sockets balloon"
_FLAGS = "onboot protection template acpi kvm tablet numa"
_FAMILIES = "scsi ide virtio sata net serial ipconfig"

CREATE = takes(
    "vmid",
    strings=f"{_OPTIONS} pool storage",
    integers=f"vmid {_NUMBERS}",
    booleans=f"{_FLAGS} start",
    indexed=_FAMILIES,
)
CONFIGURE = takes(strings=f"{_OPTIONS} delete digest revert", integers=_NUMBERS, booleans=_FLAGS, indexed=_FAMILIES)
CLONE = takes("newid", strings="name description pool storage format", integers="newid", booleans="full")
RESIZE = takes("disk size", strings="digest")
TEMPLATE = takes(strings="disk")
DESTROY = takes(booleans="purge destroy-unreferenced-disks skiplock")
SHUTDOWN = takes(integers="timeout", booleans="skiplock forceStop keepActive")
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
        self.tag_rules = TagRules()

    def create(self, user: str, node: str, given: Mapping[str, str]) -> str:
        """Create a machine; its disks are written by a worker, its configuration at the worker's end."""
        vmid = int(given["vmid"])
        wanted = self._configuration({name: value for name, value in given.items() if name not in _NO_OPTIONS})
        start = wanted.pop("start", 0)
        if vmid in self._inventory.machines:
            taken = f"VM {vmid} already exists on node '{self._inventory.node_of(self._inventory.machines[vmid])}'"
            raise ApiError(500, f"unable to create VM {vmid} - {taken}")
        machine = self._begin(vmid, node, "create")
        volumes: list[str] = []

        async def work(log: Log) -> None:
            try:
                config = await disks.allocate(vmid, wanted, self._storages[node], volumes, log)
                if "tags" in config:
                    self._require_tags(vmid, None, config["tags"])
                    config["tags"] = unique_tags(str(config["tags"]))
            except ApiError as error:
                # An exception with a code is printed with it (pve-common, Exception.pm, `stringify`).
                code = f"{error.status} " if error.status == 403 else ""
                raise ApiError(500, f"unable to create VM {vmid} - {code}{error.reason}") from error
            machine.config = config
            self._access.join(vmid, given.get("pool"))
            if start:
                await self._guests.start(machine, self._storages[node])

        return self._workers.fork(
            "qmcreate", str(vmid), user, work, undo=lambda: self._discard(machine, volumes), node=node
        )

    def configure(self, vmid: int, given: Mapping[str, str]) -> None:
        """Change a configuration at once."""
        machine = self._inventory.machine(vmid)
        wanted = {name: value for name, value in given.items() if name != "revert"}
        digest = wanted.pop("digest", machine.digest)
        if digest != machine.digest:
            raise ApiError(500, "checksum mismatch (file change by other user?)")
        machine.require_unlocked()
        removed = wanted.pop("delete", "").replace(",", " ").split()
        config = self._configuration(wanted)
        if "tags" in (*config, *removed):
            self._require_tags(vmid, machine.config.get("tags"), config.get("tags"))
            config |= {"tags": unique_tags(str(config["tags"]))} if "tags" in config else {}
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
                if options.get("media") == "cdrom" or (disk and name != disk) or is_base(volid):
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
        names = [name for name in sorted(source.config) if DRIVE.fullmatch(name) and not _is_cdrom(source, name)]
        drives = [parse_drive(str(source.config[name])) for name in names]
        new, pool = int(given["newid"]), given.get("pool")
        full = given.get("full", "0" if source.is_template else "1") == "1"
        if new in self._inventory.machines:
            raise ApiError(500, f"unable to create VM {new}: config file already exists")
        for name, (volid, _) in zip(names, drives, strict=True):
            if not full and not is_base(volid):
                raise ApiError(500, f"Linked clone feature is not supported for '{volid}' ({name})")
        machine = self._begin(new, source.node, "clone")
        volumes: list[str] = []

        async def work(log: Log) -> None:
            try:
                config = await disks.copy(source, new, self._of(source), volumes, full=full)
            except ApiError as error:
                raise ApiError(500, f"clone failed: {error.reason}") from error
            config["name"] = given.get("name", f"Copy-of-VM-{source.config.get('name', vmid)}")
            if "description" in given:
                config["description"] = given["description"].rstrip()
            machine.config = config
            self._access.join(new, pool)
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
                if is_base(volid) and storages.linked_to(volid):
                    raise ApiError(500, f"base volume '{volid}' is still in use by linked cloned")
            orphans = storages.owned_by(vmid) if given.get("destroy-unreferenced-disks") == "1" else []
            for volid in {*mine, *orphans}:
                storages.free(volid)
                log(f"removed {volid}")
            self._forget(vmid)

        return self._workers.fork("qmdestroy", str(vmid), user, work, node=machine.node)

    def start(self, user: str, vmid: int, node: str) -> str:
        """Start a guest; whatever speaks against it is said by the worker (QemuServer.pm, `vm_start_nolock`)."""

        async def work(log: Log) -> None:
            machine = self._inventory.machine(vmid, node)
            if machine.is_template:
                raise ApiError(500, "you can't start a vm if it's a template")
            machine.require_unlocked()
            await self._guests.start(machine, self._of(machine))
            log(f"started {vmid}")

        return self._workers.fork("qmstart", str(vmid), user, work, node=node)

    def stop(self, user: str, vmid: int, node: str) -> str:
        """Stop a guest hard; that there is none is said by the worker, too (QemuServer.pm, `check_running`)."""

        async def work(log: Log) -> None:
            self._inventory.require_there(vmid, node)
            await self._guests.stop(vmid)
            log(f"stopped {vmid}")

        return self._workers.fork("qmstop", str(vmid), user, work, node=node)

    def _of(self, machine: Machine) -> Storages:
        """Return the storages as the machine's node sees them."""
        return self._storages[self._inventory.node_of(machine)]

    def _require_tags(self, vmid: int, old: object, new: object) -> None:
        others = self._access.may_see(self._inventory.machines)
        existing = {tag for other in others for tag in tags_in(self._inventory.machines[other].config.get("tags"))}
        require_tags(self._access, self.tag_rules, vmid, old, new, existing)

    def _begin(self, vmid: int, node: str, lock: str) -> Machine:
        """Register a machine that has nothing but a lock yet; no pool knows it before it is whole."""
        machine = self._inventory.machines[vmid] = Machine(vmid, {"lock": lock}, node)
        return machine

    def _forget(self, vmid: int) -> None:
        self._inventory.machines.pop(vmid, None)
        self._access.forget(vmid)

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
        config: Config = {key: int(value) if key in numbers else value for key, value in given.items()}
        for key in config:
            if NETWORK.fullmatch(key):
                config[key] = with_address(str(config[key]))
            elif key == "description":
                # It is kept as comment lines, and comes back without white space at its end (`parse_vm_config`).
                config[key] = str(config[key]).rstrip()
        return config


def _is_cdrom(machine: Machine, name: str) -> bool:
    return parse_drive(str(machine.config[name]))[1].get("media") == "cdrom"
