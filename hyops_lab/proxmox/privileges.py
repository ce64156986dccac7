"""Which right each option of a machine asks for (qemu-server, API2/Qemu.pm, `check_vm_modify_config_perm`).

Drives are not in it: a disk that is made asks for space on its storage and nothing on the machine, and a cloud-init
drive for nothing at all. Changing one that is there does ask (`check_drive_perms`).
"""

import re
from collections.abc import Iterable

from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError
from hyops_lab.proxmox.drives import DRIVE

CONFIG_PRIVILEGES = tuple(
    f"VM.Config.{name}" for name in ["Disk", "CDROM", "CPU", "Memory", "Network", "HWType", "Options", "Cloudinit"]
)
"""One of them lets a caller ask for a change at all."""

_BY_OPTION = {
    **dict.fromkeys(["cores", "cpu", "sockets", "numa", "vcpus"], "CPU"),
    **dict.fromkeys(["memory", "balloon", "shares"], "Memory"),
    **dict.fromkeys(["acpi", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga"], "HWType"),
    **dict.fromkeys(["agent", "bios", "description", "name", "onboot", "ostype", "protection", "template"], "Options"),
    **dict.fromkeys(["boot", "bootdisk"], "Disk"),
}
_CLOUD_INIT = re.compile(r"ciuser|cipassword|sshkeys|nameserver|searchdomain|ipconfig\d+")


def require_options(access: Access, vmid: int, pool: str | None, options: Iterable[str]) -> None:
    """Refuse options that the token may not set on a machine, or on one that is made for a pool."""
    for option in sorted(options):
        if DRIVE.fullmatch(option) or option == "tags":
            continue
        if re.fullmatch(r"net\d+", option):
            access.require_machine(vmid, pool, "VM.Config.Network")
        elif re.fullmatch(r"serial\d+", option):
            access.require_machine(vmid, pool, "VM.Config.HWType")
        elif _CLOUD_INIT.fullmatch(option):
            access.require_machine(vmid, pool, "VM.Config.Cloudinit", "VM.Config.Network", any_of=True)
        elif option in _BY_OPTION:
            access.require_machine(vmid, pool, f"VM.Config.{_BY_OPTION[option]}")
        else:
            raise ApiError(500, f"only root can set '{option}' config")
