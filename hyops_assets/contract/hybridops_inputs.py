"""Inputs of HybridOps' modules that mean nothing here, and what says it instead: refused by name, with the reason.

Let pass are those that ask for nothing else than what is so anyway: HybridOps' examples write them all out.
"""

from collections.abc import Mapping
from typing import Any

_SITE = "it belongs to the site: sites.{kind}.<name> in config/pipeline.yml"
_PROXMOX = _SITE.format(kind="proxmox")
_HETZNERS = "it is an input of core/hetzner/vyos-image-seed"
_TEMPLATES = "it is an input of core/onprem/vyos-template-seed"
_API = "the site is reached through its API with a token: nobody logs in to the node"
_RECORD = "the record decides it"

REFUSED: Mapping[str, str] = {
    "proxmox_host": _PROXMOX,
    "proxmox_node": _PROXMOX,
    "ssh_username": _API,
    "ssh_private_key": _API,
    "template_vm_id": _TEMPLATES,
    "template_name": _TEMPLATES,
    "storage_vm": _TEMPLATES,
    "network_bridge": _TEMPLATES,
    "cpu_cores": _TEMPLATES,
    "memory_mb": _TEMPLATES,
    "ci_username": _TEMPLATES,
    "template_smoke_gate": _TEMPLATES,
    "template_smoke_wait_s": _TEMPLATES,
    "template_smoke_vmid": _TEMPLATES,
    "template_smoke_bridge": _TEMPLATES,
    "template_key": "record_key says which record of the state it is",
    "template_image_version": "record_version says it",
    "image_format": _RECORD,
    "image_compression": _RECORD,
    "template_smoke_marker": "the smoke gate asks the guest agent; it needs no marker",
    "rebuild_if_exists": "a snapshot is never replaced in place: seed a revision of the record (-r2, …)",
    "image_ref": _HETZNERS,
    "image_name": "Hetzner's snapshots have no name",
    "image_description": "it is hyops-<key>-<version>: HybridOps finds images by it",
    "image_architecture": _RECORD,
    "seed_location": _HETZNERS,
    "seed_server_type": _HETZNERS,
    "seed_tool": "the pipeline writes and reads back by itself; another tool runs as seed_command",
    "seed_wrapper_public_base_url": _HETZNERS,
    "seed_wrapper_bind_port": _HETZNERS,
    "inventory_state_ref": "everything runs on this host",
    "inventory_vm_groups": "everything runs on this host",
    "inventory_groups": "everything runs on this host",
    "target_user": "everything runs on this host",
    "target_port": "everything runs on this host",
    "become": "nothing here needs root",
    "connectivity_check": "every run looks first at what it needs",
}
"""By name: why it is refused, or where it is said instead."""

_SO_ANYWAY: Mapping[str, Any] = {"become": False, "connectivity_check": False}
_HERE = {"127.0.0.1", "::1", "localhost"}


def without_hybridops(given: Any, known: Mapping[str, object]) -> Any:
    """Return inputs without those of HybridOps that mean nothing here.

    Raises:
        ValueError: one of them asks for something; every one is named, with the reason.
    """
    if not isinstance(given, dict):
        return given
    foreign = {name: value for name, value in given.items() if name in REFUSED and name not in known}
    wrong = [f"{name}: {REFUSED[name]}" for name, value in foreign.items() if _asks(name, value)]
    if wrong:
        message = f"not taken here: {'; '.join(wrong)}"
        raise ValueError(message)
    return {name: value for name, value in given.items() if name not in foreign}


def _asks(name: str, value: Any) -> bool:
    """Tell whether an input asks for something else than what is so anyway."""
    if name == "inventory_groups" and isinstance(value, dict):
        listed = [host for hosts in value.values() for host in (hosts if isinstance(hosts, list) else [None])]
        return any(not isinstance(host, dict) or host.get("host") not in _HERE for host in listed)
    return value not in (None, "", "auto", {}, []) and not (name in _SO_ANYWAY and value is _SO_ANYWAY[name])
