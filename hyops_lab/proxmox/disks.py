"""The disks of a machine that comes to be: imported, allocated, copied or linked. Written while it is locked."""

import re
import uuid
from collections.abc import Mapping

from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError, parameter_error
from hyops_lab.proxmox.drives import (
    DRIVE,
    NETWORK,
    format_size,
    options_of,
    parse_drive,
    print_drive,
    with_address,
)
from hyops_lab.proxmox.inventory import Config, Machine
from hyops_lab.proxmox.storages import Storages
from hyops_lab.proxmox.workers import Log

CLOUDINIT_BYTES = 4 << 20


def require_access(access: Access, storages: Storages, vmid: int, wanted: Mapping[str, str]) -> None:
    """Refuse drives that the token may not make: before anything is created (API2/Qemu.pm, `check_storage_access`).

    A cloud-init drive is not checked at all.
    """
    for name, value in sorted(wanted.items()):
        if not DRIVE.fullmatch(name):
            continue
        request, options = parse_drive(str(value))
        storage, _, what = request.partition(":")
        if what in {"cloudinit", ""}:
            continue
        if re.fullmatch(r"[\d.]+", what):
            access.require(f"/storage/{storage}", "Datastore.AllocateSpace")
            if "images" not in storages.get(storage).content:
                raise parameter_error(storage=f"storage '{storage}' does not support vm images")
        else:
            require_volume(access, storages, request, vmid=vmid)
        if "import-from" in options:
            _require_source(access, storages, name, options["import-from"])


def _require_source(access: Access, storages: Storages, name: str, source: str) -> None:
    if ":" not in source:
        raise ApiError(500, "Only root can pass arbitrary filesystem paths.")
    kind = source.partition(":")[2].partition("/")[0]
    if kind in {"iso", "vztmpl", "backup", "snippets"}:
        text = f"{source} has wrong type '{kind}' - needs to be 'images' or 'import'"
        raise ApiError(400, "Parameter verification failed.", {name: text})
    owner = storages.owner(source)
    if owner is not None:
        access.require(f"/vms/{owner}", "VM.Clone")
    else:
        require_volume(access, storages, source)


def require_volume(access: Access, storages: Storages, volid: str, *, vmid: int | None = None) -> None:
    """Refuse a volume that the token may not read (pve-storage, Storage.pm, `check_volume_access`).

    Args:
        access: the token's.
        storages: of the node.
        volid: which.
        vmid: of the machine that it is read for: its own volumes it may.
    """
    where = f"/storage/{volid.partition(':')[0]}"
    if access.has(where, "Datastore.Allocate"):
        return
    owner = storages.owner(volid)
    if owner is None:
        access.require(where, "Datastore.AllocateSpace", "Datastore.Audit", any_of=True)
    elif owner != vmid:
        access.require(where, "Datastore.Audit")
        access.require(f"/vms/{owner}", "VM.Config.Disk")


async def allocate(vmid: int, wanted: Config, storages: Storages, volumes: list[str], log: Log) -> Config:
    """Write the disks of a new machine and return its configuration; `volumes` tells what was made so far."""
    config = dict(wanted)
    for name, value in sorted(wanted.items()):
        if not DRIVE.fullmatch(name):
            continue
        request, options = parse_drive(str(value))
        storage, _, what = request.partition(":")
        if what == "cloudinit":
            volid = storages.allocate(storage, vmid, CLOUDINIT_BYTES, cloudinit=True)
            volumes.append(volid)
            config[name] = print_drive(volid, {"media": "cdrom"})
            log(f"{name}: successfully created disk '{config[name]}'")
            continue
        if "import-from" not in options:
            volid = storages.allocate(storage, vmid, _bytes_of(what, request))
            volumes.append(volid)
            config[name] = print_drive(volid, {**options, "size": format_size(storages.path(volid).stat().st_size)})
            continue
        origin = options.pop("import-from")
        source = storages.path(origin)
        if not source.exists():
            raise ApiError(500, f"cannot import from '{origin}' - could not get size of {origin}")
        size = await storages.virtual_size(source)
        volid = storages.allocate(storage, vmid, size)
        volumes.append(volid)
        log(f"importing {source.name} to {volid}")
        await storages.import_image(source, volid)
        allocated = storages.path(volid).stat().st_size
        config[name] = print_drive(volid, {**options, "size": format_size(allocated)})
    config.setdefault("smbios1", f"uuid={uuid.uuid4()}")
    config.setdefault("vmgenid", str(uuid.uuid4()))
    config["meta"] = "creation-qemu=10.0.2"
    return config


def _bytes_of(gibibytes: str, request: str) -> int:
    if not re.fullmatch(r"\d+(\.\d+)?", gibibytes):
        raise ApiError(500, f"unable to parse volume ID '{request}'")
    return int(float(gibibytes) * (1 << 30))


async def copy(source: Machine, new: int, storages: Storages, volumes: list[str], *, full: bool) -> Config:
    """Copy or link a machine's disks for a clone and return its configuration."""
    config: Config = {name: value for name, value in source.config.items() if name != "template"}
    for name in sorted(name for name in config if DRIVE.fullmatch(name)):
        volid, options = parse_drive(str(config[name]))
        storage = volid.partition(":")[0]
        if options.get("media") == "cdrom":
            copy = storages.allocate(storage, new, CLOUDINIT_BYTES, cloudinit=True)
        elif full:
            copy = storages.allocate(storage, new, storages.path(volid).stat().st_size)
            await storages.import_image(storages.path(volid), copy)
        else:
            copy = await storages.link(volid, new)
        volumes.append(copy)
        config[name] = print_drive(copy, options)
    for name in [name for name in config if NETWORK.fullmatch(name)]:
        config[name] = with_address(str(config[name]), anew=True)
    if "vmgenid" in config:
        config["vmgenid"] = str(uuid.uuid4())
    smbios = {key: value for key, value in options_of(str(config.get("smbios1", ""))).items() if key != "uuid"}
    config["smbios1"] = ",".join(f"{key}={value}" for key, value in {"uuid": str(uuid.uuid4()), **smbios}.items())
    return config
