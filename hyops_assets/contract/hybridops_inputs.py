"""Inputs of HybridOps' modules that mean nothing here, and what says it instead: refused by name, with the reason.

Let pass are those that ask for nothing else than what is so anyway: HybridOps' examples write them all out.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_SITE = "it belongs to the site: sites.{kind}.<name> in config/pipeline.yml"
_PROXMOX = _SITE.format(kind="proxmox")
_HETZNERS = "it is an input of core/hetzner/vyos-image-seed"
_TEMPLATES = "it is an input of core/onprem/vyos-template-seed"
_API = "the site is reached through its API with a token: there is no login to the node"
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
    "image_key": "record_key says which record it is, and its snapshot has the same key",
    "image_version": "record_version says it",
    "project_state_ref": "set project_id",
}
"""By name: why it is refused, or where it is said instead."""

_EVERYWHERE: Mapping[str, Any] = {
    "become": False,
    "connectivity_check": False,
    "target_user": "root",
    "target_port": 22,
}
_OF_SEEDS: Mapping[str, Mapping[str, Any]] = {
    "image": {"image_architecture": "x86", "image_compression": "xz", "seed_tool": "hcloud-upload-image"},
    "template": {"image_format": "auto", "image_compression": "auto"},
}
_SO_ANYWAY = [_EVERYWHERE, *_OF_SEEDS.values()]
"""Values that ask for nothing else than what is so anyway: HybridOps' defaults, which its examples write out."""
_SAME_AS: Mapping[str, str] = {
    "image_key": "record_key",
    "template_key": "record_key",
    "image_version": "record_version",
    "template_image_version": "record_version",
}
"""Names of HybridOps for what another input says already; equal values agree."""
_HERE = {"127.0.0.1", "::1", "localhost"}


def without_hybridops(given: Any, known: Mapping[str, FieldInfo]) -> Any:
    """Return inputs without those of HybridOps that mean nothing here, and without blanks: a blank says nothing.

    Args:
        given: aliases folded, not validated.
        known: the fields of the module's model.

    Raises:
        ValueError: one of them asks for something; every one is named, with the reason.
    """
    if not isinstance(given, dict):
        return given
    foreign = {name: value for name, value in given.items() if name in REFUSED and name not in known}
    wrong = [f"{name}: {REFUSED[name]}" for name, value in foreign.items() if _asks(name, value, given, known)]
    if wrong:
        message = f"not taken here: {'; '.join(wrong)}"
        raise ValueError(message)
    return {
        name: value
        for name, value in given.items()
        if name not in foreign and not (is_blank(value) and name in known and not known[name].is_required())
    }


def is_blank(value: Any) -> bool:
    """Tell whether an input says nothing: HybridOps writes unset ones out as empty texts."""
    return value is None or (isinstance(value, str) and not value.strip())


def key_by_its_other_names(given: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Return inputs in which `image_key` or `template_key` of HybridOps says the record's key if nothing else does."""
    if "record_key" not in known or not is_blank(given.get("record_key")):
        return dict(given)
    others = [name for name, meant in _SAME_AS.items() if meant == "record_key" and name not in known]
    said = next((given[name] for name in others if not is_blank(given.get(name))), None)
    return {**given, "record_key": said} if said is not None else dict(given)


def by_hybridops_names(taken: Mapping[str, Any], inputs: BaseModel) -> dict[str, Any]:
    """Return what HybridOps' modules would say by names that are not inputs here, for inputs that were taken.

    Args:
        taken: the inputs, by our names.
        inputs: of which module these are.
    """
    known = type(inputs).model_fields
    words = {"image": "image_ref" in known, "template": "template_vm_id" in known}
    named = {
        theirs: taken[ours]
        for theirs, ours in _SAME_AS.items()
        if ours in taken and theirs not in known and words[theirs.partition("_")[0]]
    }
    seeds = {word: "record_state_ref" in known and of_it for word, of_it in words.items()}
    anyway = [_EVERYWHERE, *(_OF_SEEDS[word] for word, seeded in seeds.items() if seeded)]
    return named | {name: value for defaults in anyway for name, value in defaults.items() if name not in known}


def _asks(name: str, value: Any, given: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> bool:
    """Tell whether an input asks for something else than what is so anyway."""
    if name == "inventory_groups" and isinstance(value, dict):
        listed = [host for hosts in value.values() for host in (hosts if isinstance(hosts, list) else [None])]
        return any(not isinstance(host, dict) or host.get("host") not in _HERE for host in listed)
    if is_blank(value) or value in ({}, []):
        return False
    meant = _SAME_AS.get(name)
    if meant is not None and meant in known:
        said = given.get(meant)
        return value != (known[meant].default if is_blank(said) else said)
    anyway = [defaults[name] for defaults in _SO_ANYWAY if name in defaults]
    return not any(type(value) is type(one) and value == one for one in anyway)
