"""Inputs and outputs of HybridOps' modules as facts: names, defaults, published outputs (hybridops-core, August 2026).

Ours take each of these inputs at its default or blank, and publish each of these outputs.
"""

from typing import Any

from pydantic import BaseModel

from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs, ModuleInputs, TemplateSeedInputs
from hyops_assets.contract.register_inputs import ArtifactInputs, ImageRegisterInputs, TemplateImportInputs
from hyops_assets.settings.object_repo import ObjectRepoInputs

_ON_THIS_HOST = [{"name": "localhost", "host": "127.0.0.1"}]
_ANSIBLE: dict[str, Any] = {
    "inventory_groups": {"localhost": _ON_THIS_HOST},
    "target_user": "root",
    "target_port": 22,
    "become": False,
    "connectivity_check": False,
}
_BY_REFERENCE = dict.fromkeys(
    (
        *("artifact_state_ref", "artifact_key", "artifact_url", "artifact_format", "artifact_version"),
        *("artifact_sha256", "source_iso_url", "image_source_url", "seed_command"),
    ),
    "",
)
_RECORD = {
    "artifact_key": "vyos-1.5",
    "artifact_format": "qcow2",
    **dict.fromkeys(("artifact_version", "artifact_url", "artifact_sha256", "source_iso_url", "notes"), ""),
}
_RECORD_OUTPUTS = (
    *("artifact_key", "artifact_url", "artifact_format", "artifact_version", "artifact_sha256"),
    *("source_iso_url", "artifacts"),
)
_TEMPLATE_OUTPUTS = (
    *("template_key", "template_vm_id", "template_name", "template_image_version", "template_source_url"),
    "templates",
)
_IMAGE_OUTPUTS = ("image_key", "image_ref", "image_version", "image_source_url", "images")


class Spec(BaseModel):
    """One module there.

    Attributes:
        model: of its inputs here.
        defaults: of every input there.
        needed: the least that makes our inputs valid, at names whose default there is blank.
        outputs: that it publishes.
    """

    model: type[ModuleInputs]
    defaults: dict[str, Any]
    needed: dict[str, Any]
    outputs: tuple[str, ...]


_VERSION = "2026.03.03-0027-rolling"
_BUILD_STATE = {"artifact_state_ref": "core/shared/vyos-image-build#vyos_default_build"}

SPECS: dict[str, Spec] = {
    "core/shared/vyos-image-build": Spec(
        model=BuildInputs,
        defaults={
            **_ANSIBLE,
            **_RECORD,
            "inventory_groups": {},
            "inventory_state_ref": "",
            "inventory_vm_groups": {},
            "required_env": [],
            "artifact_local_path": "",
            "repo_state_ref": "",
            **dict.fromkeys(
                f"{step}_{what}" for step in ("build", "smoke_verify", "publish") for what in ("command", "workdir")
            ),
            "smoke_verify_required": True,
            "rebuild_if_exists": False,
            "allow_iso_build": False,
        },
        needed={"artifact_version": _VERSION},
        outputs=(*_RECORD_OUTPUTS, "artifact_local_path"),
    ),
    "core/shared/vyos-image-artifact": Spec(
        model=ArtifactInputs,
        defaults={**_ANSIBLE, **_RECORD},
        needed={"artifact_version": _VERSION, "artifact_url": f"https://example.org/vyos-1.5-{_VERSION}.qcow2"},
        outputs=_RECORD_OUTPUTS,
    ),
    "core/onprem/vyos-template-seed": Spec(
        model=TemplateSeedInputs,
        defaults={
            **_ANSIBLE,
            **_BY_REFERENCE,
            "required_env": [],
            "template_key": "vyos-1.5",
            "template_vm_id": 9205,
            "template_name": "vyos-1.5-template",
            "template_image_version": "",
            "template_source_url": "",
            "image_format": "auto",
            "image_compression": "auto",
            "seed_if_missing": True,
            "rebuild_if_exists": False,
            "seed_timeout_s": 7200,
            **dict.fromkeys(("proxmox_host", "proxmox_node", "storage_vm", "network_bridge"), ""),
            **dict.fromkeys(("ssh_username", "ssh_private_key", "notes"), ""),
            "cpu_cores": 2,
            "memory_mb": 2048,
            "ci_username": "vyos",
            "template_smoke_gate": True,
            "template_smoke_wait_s": 90,
            "template_smoke_vmid": None,
            "template_smoke_bridge": "",
            "template_smoke_marker": "",
        },
        needed=_BUILD_STATE,
        outputs=(*_TEMPLATE_OUTPUTS, "template_seeded"),
    ),
    "core/onprem/vyos-template-import": Spec(
        model=TemplateImportInputs,
        defaults={
            **_ANSIBLE,
            "template_key": "vyos-1.5",
            **dict.fromkeys(("template_name", "template_image_version", "template_source_url", "notes"), ""),
        },
        needed={"template_vm_id": 9205},
        outputs=_TEMPLATE_OUTPUTS,
    ),
    "core/hetzner/vyos-image-seed": Spec(
        model=ImageSeedInputs,
        defaults={
            **_ANSIBLE,
            **_BY_REFERENCE,
            "required_env": [],
            "image_key": "vyos-1.5",
            **dict.fromkeys(("image_ref", "image_name", "image_description", "image_version", "notes"), ""),
            "image_architecture": "x86",
            "image_compression": "xz",
            **dict.fromkeys(("seed_location", "seed_server_type", "seed_wrapper_public_base_url"), ""),
            "seed_wrapper_bind_port": 18080,
            "seed_if_missing": True,
            "seed_tool": "hcloud-upload-image",
            "seed_timeout_s": 7200,
        },
        needed=_BUILD_STATE,
        outputs=(*_IMAGE_OUTPUTS, "image_name", "image_description", "image_seeded"),
    ),
    "core/hetzner/vyos-image-register": Spec(
        model=ImageRegisterInputs,
        defaults={
            **_ANSIBLE,
            "image_key": "vyos-1.5",
            **dict.fromkeys(("image_version", "image_source_url", "notes"), ""),
        },
        needed={"image_ref": "161547269"},
        outputs=_IMAGE_OUTPUTS,
    ),
    "org/gcp/object-repo": Spec(
        model=ObjectRepoInputs,
        defaults={
            "project_state_ref": "",
            "location": "EU",
            "storage_class": "STANDARD",
            "uniform_bucket_level_access": True,
            "versioning_enabled": False,
            "lifecycle_delete_age_days": 0,
            "service_account_id": "objectrepo",
            "service_account_display_name": "Object Repository",
        },
        needed={"project_id": "hyops-dev", "bucket_name": "hyops-dev-vyos-records-a1"},
        outputs=(
            *("repo_backend", "repo_provider", "repo_bucket_name", "repo_region", "repo_principal_type"),
            *("repo_principal_name", "repo_credential_create_hint", "bucket_name", "service_account_email"),
            "gcloud_sa_key_hint",
        ),
    ),
}
"""By module reference. Inputs that both need stand in `needed` only."""
