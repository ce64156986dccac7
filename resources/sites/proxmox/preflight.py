"""What a site must be able to do before a seed changes anything. Everything that is missing is said at once.

Privileges after what the calls themselves ask for: qemu-server's API2/Qemu.pm (`create_vm`, `clone_vm`,
`check_vm_modify_config_perm`, `assert_tag_permissions`) and pve-storage's Storage.pm (`check_volume_access`) ask for
more, and for less, than the API's schema says. The roles that have exactly these stand in docs/proxmox.md; a test
takes each of them away.
"""

import re
from collections.abc import Mapping
from typing import Literal

from hyops_assets.contract.seed_options import TemplateOptions
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import ProxmoxError, SiteNotReady

Route = Literal["download", "upload"]
MINIMUM_VERSION = (8, 4)
"""qcow2 in the content type `import` by download or upload: pve-storage 8.3.6, shipped with Proxmox VE 8.4."""

_MACHINE_PRIVILEGES = frozenset(
    {
        *("VM.Allocate", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network"),
        *("VM.Config.HWType", "VM.Config.Options"),
    }
)
"""Neither VM.Config.CDROM nor VM.Config.Cloudinit: a cloud-init drive is made with the machine, and its user name may
be set by who may set its network."""


def require_version(client: ProxmoxClient) -> str:
    """Return the version of Proxmox VE.

    Raises:
        SiteNotReady: it is older than 8.4.
    """
    version = client.get_version()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < MINIMUM_VERSION:
        raise SiteNotReady(
            f"{client.site.host} runs Proxmox VE {version}; seeding by API needs 8.4 (qcow2 as import content)",
            hint="upgrade the node; or make the template with qm on the node, and register it with "
            "core/onprem/vyos-template-import (docs/proxmox.md, before 8.4)",
        )
    return version


def require_readable(client: ProxmoxClient) -> None:
    """Refuse a token that cannot see templates: it would not find its own and would make another.

    Raises:
        SiteNotReady: the node is not online, VM.Audit is missing, or the right to list a storage.
    """
    site, problems = client.site, list[str]()
    # `unknown` is what a node is where pvestatd hangs: whether it answers is seen when it is asked something.
    states = {node.node: node.status for node in client.list_nodes()}
    if states.get(site.node, "offline") == "offline":
        up = sorted(node for node, status in states.items() if status != "offline")
        raise SiteNotReady(
            f"node {site.node!r} is not online (online: {', '.join(up) or 'none'})",
            hint="correct the site's node, or start it",
        )
    problems.extend(_missing_on_machine(client, frozenset({"VM.Audit"}), site.vmid_range[0]))
    if not {"Datastore.Audit", "Datastore.AllocateSpace"} & client.list_privileges(f"/storage/{site.storage}"):
        problems.append(f"Datastore.Audit or Datastore.AllocateSpace on /storage/{site.storage}")
    _refuse_missing(client, problems)


def require_writable(
    client: ProxmoxClient, *, route: Route, version: str, needed_bytes: int, options: TemplateOptions | None = None
) -> None:
    """Refuse a site that could not finish a seed.

    Args:
        client: the site's.
        route: whether the node downloads the image or we upload it.
        version: of Proxmox VE; the agent's privilege has another name before 9.
        needed_bytes: the size of the disk.
        options: what was asked for one template; its VMIDs and bridges count too.

    Raises:
        SiteNotReady: a storage or the bridge cannot be used, or a privilege is missing.
    """
    site, options = client.site, options or TemplateOptions()
    _refuse_missing(client, _missing_privileges(client, route, version, options))
    _require_storage(client, site.import_storage, "import", 0)
    _require_storage(client, site.storage, "images", needed_bytes)
    bridges = {bridge.iface: bridge.type for bridge in client.list_bridges()}
    for name in filter(None, (site.bridge, options.template_smoke_bridge)):
        _require_bridge(client, name, bridges)


def _require_bridge(client: ProxmoxClient, name: str, bridges: Mapping[str, str]) -> None:
    if name not in bridges:
        raise SiteNotReady(
            f"node {client.site.node} has no bridge {name!r} (it has: {', '.join(sorted(bridges)) or 'none'})",
            hint="correct the site's bridge, or grant the token SDN.Use on it",
        )
    if bridges[name] in {"bridge", "OVSBridge"}:
        path = f"/sdn/zones/localnetwork/{name}"
        _refuse_missing(client, [] if "SDN.Use" in client.list_privileges(path) else [f"SDN.Use on {path}"])


def _missing_on_machine(client: ProxmoxClient, wanted: frozenset[str], vmid: int) -> list[str]:
    """Return what the token lacks on a machine that need not exist: rights on its path, or all of them on its pool.

    One VMID of the range stands for all: rights are granted on /vms or on the pool (PVE::RPCEnvironment,
    `check_vm_perm`: the whole list on the pool, else the whole list on the machine).
    """
    pool, path = client.site.pool, f"/vms/{vmid}"
    on_machine = sorted(wanted - client.list_privileges(path))
    if not pool or not on_machine:
        return [f"{name} on {path}" for name in on_machine]
    return [f"{name} on /pool/{pool}" for name in sorted(wanted - client.list_privileges(f"/pool/{pool}"))]


def _missing_privileges(client: ProxmoxClient, route: Route, version: str, options: TemplateOptions) -> list[str]:
    site, missing = client.site, list[str]()

    def need(path: str, wanted: frozenset[str]) -> None:
        missing.extend(f"{name} on {path}" for name in sorted(wanted - client.list_privileges(path)))

    need(f"/storage/{site.import_storage}", frozenset({"Datastore.AllocateTemplate"}))
    if not {"Datastore.Audit", "Datastore.AllocateSpace"} & client.list_privileges(f"/storage/{site.import_storage}"):
        missing.append(f"Datastore.Audit or Datastore.AllocateSpace on /storage/{site.import_storage}")
    # Audit shows the new disk, whose size is compared, and linked clones of an old one.
    need(f"/storage/{site.storage}", frozenset({"Datastore.AllocateSpace", "Datastore.Audit"}))
    machine = _MACHINE_PRIVILEGES
    if site.template_smoke_gate:
        agent = "VM.Monitor" if version.startswith("8.") else "VM.GuestAgent.Audit"
        machine |= {"VM.Clone", "VM.PowerMgmt", agent}
    for vmid in filter(None, (site.vmid_range[0], options.template_vm_id)):
        missing.extend(_missing_on_machine(client, machine, vmid))
    if options.template_smoke_vmid and site.template_smoke_gate:
        allocate = frozenset({"VM.Allocate", "VM.PowerMgmt"})
        missing.extend(_missing_on_machine(client, allocate, options.template_smoke_vmid))
    if route == "download" and not {"Sys.Audit", "Sys.Modify"} <= client.list_privileges("/"):
        need(f"/nodes/{site.node}", frozenset({"Sys.AccessNetwork"}))
    return missing


def _refuse_missing(client: ProxmoxClient, missing: list[str]) -> None:
    if missing:
        raise SiteNotReady(
            f"the token {client.token_id} lacks {'; '.join(missing)}",
            hint="grant the role of docs/proxmox.md to the token itself (with privilege separation it has only what "
            "it was given): pveum acl modify <path> --tokens <token> --roles <role>",
        )


def _require_storage(client: ProxmoxClient, name: str, content: str, needed_bytes: int) -> None:
    try:
        storage = client.get_storage(name)
    except ProxmoxError as error:
        raise SiteNotReady(
            f"storage {name!r} cannot be used: {error.message}", hint="correct the site's storages"
        ) from error
    if not (storage.active and storage.enabled):
        raise SiteNotReady(
            f"storage {name!r} is not active on node {client.site.node}", hint=f"pvesm status --storage {name}"
        )
    if content not in storage.contents:
        now = ",".join(sorted(storage.contents))
        raise SiteNotReady(
            f"storage {name!r} is not configured for content {content!r} (it has: {now})",
            hint=f"pvesm set {name} --content {now},{content}   or name another storage in the site",
        )
    if storage.avail is not None and storage.avail < needed_bytes:
        raise SiteNotReady(
            f"storage {name!r} has {storage.avail} bytes free, the disk needs {needed_bytes}",
            hint="free some space on it, or name another storage in the site",
        )
