"""The cloud-init drive of a machine: an ISO labelled `cidata`, as Proxmox writes it for Linux guests (NoCloud).

qemu-server, QemuServer/Cloudinit.pm, `generate_nocloud`, `cloudinit_userdata`, `nocloud_network`: network
configuration version 1, with a card only where an `ipconfig` says something of it.
"""

import hashlib
import ipaddress
from pathlib import Path
from tempfile import TemporaryDirectory

from hyops_lab.proxmox.drives import NETWORK, options_of
from hyops_lab.proxmox.images import run
from hyops_lab.proxmox.inventory import Config


async def write_cloudinit(config: Config, volume: Path) -> None:
    """Write the drive onto its volume, which keeps its size."""
    user, network = user_data(config), network_config(config)
    files = {
        "user-data": user,
        "network-config": network,
        "meta-data": f"instance-id: {hashlib.sha1((user + network).encode(), usedforsecurity=False).hexdigest()}\n",
        "vendor-data": "",
    }
    with TemporaryDirectory() as scratch:
        image, tree = Path(scratch, "cidata.iso"), Path(scratch, "cidata")
        tree.mkdir()
        for name, text in files.items():
            (tree / name).write_text(text)
        await run("xorriso", "-as", "genisoimage", "-quiet", "-J", "-R", "-V", "cidata", "-o", image, tree)
        content = image.read_bytes()
    with volume.open("r+b") as target:
        target.write(content)


def user_data(config: Config) -> str:
    """Return what Proxmox tells cloud-init about name and user."""
    name = str(config.get("name", "VM"))
    lines = ["#cloud-config", f"hostname: {name.partition('.')[0]}", "manage_etc_hosts: true", f"fqdn: {name}"]
    if "ciuser" in config:
        lines.append(f"user: {config['ciuser']}")
    lines += ["chpasswd:", "  expire: False", "users:", "  - default", "package_upgrade: true"]
    return "\n".join(lines) + "\n"


def network_config(config: Config) -> str:
    """Return the network configuration of the cards that have an `ipconfig`."""
    lines = ["version: 1", "config:"]
    for name in sorted(key for key in config if NETWORK.fullmatch(key)):
        number = name.removeprefix("net")
        wanted = options_of(str(config.get(f"ipconfig{number}", "")))
        if not wanted:
            continue
        address = str(config[name]).partition(",")[0].partition("=")[2].lower()
        lines += ["    - type: physical", f"      name: eth{number}", f"      mac_address: '{address}'"]
        lines += ["      subnets:", *_subnets(wanted)]
    if "nameserver" in config or "searchdomain" in config:
        lines += ["    - type: nameserver"]
        for key, title in (("nameserver", "address"), ("searchdomain", "search")):
            if key in config:
                lines += [f"      {title}:", *(f"      - '{one}'" for one in str(config[key]).split())]
    return "\n".join(lines) + "\n"


def _subnets(wanted: dict[str, str]) -> list[str]:
    lines: list[str] = []
    if "ip" in wanted:
        if wanted["ip"] == "dhcp":
            lines.append("      - type: dhcp4")
        else:
            interface = ipaddress.ip_interface(wanted["ip"])
            lines += ["      - type: static", f"        address: '{interface.ip}'"]
            lines.append(f"        netmask: '{interface.netmask}'")
            lines += [f"        gateway: '{wanted['gw']}'"] if "gw" in wanted else []
    if "ip6" in wanted:
        kinds = {"dhcp": "dhcp6", "auto": "ipv6_slaac"}
        if wanted["ip6"] in kinds:
            lines.append(f"      - type: {kinds[wanted['ip6']]}")
        else:
            lines += ["      - type: static6", f"        address: '{wanted['ip6']}'"]
            lines += [f"        gateway: '{wanted['gw6']}'"] if "gw6" in wanted else []
    return lines
