"""The disks of a machine that comes to be: imported, allocated, copied or linked. Written while it is locked."""

import uuid

from hyops_assets.lab.proxmox.answers import ApiError
from hyops_assets.lab.proxmox.drives import DRIVE, format_size, options_of, parse_drive, print_drive
from hyops_assets.lab.proxmox.inventory import Config, Machine
from hyops_assets.lab.proxmox.storages import Storages
from hyops_assets.lab.proxmox.workers import Log

CLOUDINIT_BYTES = 4 << 20


def require_sources(config: Config, storages: Storages) -> None:
    """Refuse a disk that is imported from something that cannot be, before anything is created."""
    for name, value in config.items():
        if not DRIVE.fullmatch(name):
            continue
        _, options = parse_drive(str(value))
        source = options.get("import-from")
        if source is None:
            continue
        if source.startswith("/"):
            raise ApiError(403, "Only root can pass arbitrary filesystem paths.")
        if ":iso/" in source:
            raise ApiError(500, f"{name}: volume '{source}' has wrong type 'iso' - needs to be 'images' or 'import'")
        if not storages.path(source).exists():
            raise ApiError(500, f"{name}: volume '{source}' does not exist")


async def allocate(vmid: int, wanted: Config, storages: Storages, volumes: list[str], log: Log) -> Config:
    """Write the disks of a new machine and return its configuration; `volumes` tells what was made so far."""
    config = dict(wanted)
    for name, value in wanted.items():
        if not DRIVE.fullmatch(name):
            continue
        request, options = parse_drive(str(value))
        storage, _, what = request.partition(":")
        if what == "cloudinit":
            volid = storages.allocate(storage, vmid, CLOUDINIT_BYTES, cloudinit=True)
            volumes.append(volid)
            config[name] = print_drive(volid, {"media": "cdrom"})
            continue
        if what != "0" or "import-from" not in options:
            raise ApiError(500, f"unable to parse volume ID '{request}'")
        source = storages.path(options.pop("import-from"))
        size = await storages.virtual_size(source)
        volid = storages.allocate(storage, vmid, size)
        volumes.append(volid)
        log(f"importing {source.name} to {volid}")
        await storages.import_image(source, volid)
        allocated = storages.path(volid).stat().st_size
        config[name] = print_drive(volid, {**options, "size": format_size(allocated)})
    config.setdefault("smbios1", f"uuid={uuid.uuid4()}")
    config["meta"] = "creation-qemu=10.0.2"
    return config


async def copy(source: Machine, new: int, storages: Storages, volumes: list[str], *, full: bool) -> Config:
    """Copy or link a machine's disks for a clone and return its configuration."""
    config: Config = {name: value for name, value in source.config.items() if name != "template"}
    for name in [name for name in config if DRIVE.fullmatch(name)]:
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
    smbios = {key: value for key, value in options_of(str(config.get("smbios1", ""))).items() if key != "uuid"}
    config["smbios1"] = ",".join(f"{key}={value}" for key, value in {"uuid": str(uuid.uuid4()), **smbios}.items())
    return config
