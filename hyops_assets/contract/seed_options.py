"""What HybridOps' seeds let an operator say of a template or a snapshot, by its names and as far as it is true here.

Which record it holds is not among it: that is found by digest, and no option makes an old disk pass for a new one.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import number_as_text

_VMID = {"strict": True, "ge": 100, "le": 999_999_999}
"""Proxmox' own range: smaller ones are reserved (https://pve.proxmox.com/pve-docs/api-viewer/, `vmid`)."""
_STORAGE = r"^([A-Za-z][A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"
"""Proxmox' `pve-storage-id`, or nothing."""
_BRIDGE = r"^([A-Za-z][A-Za-z0-9_.-]{0,31})?$"
"""A bridge's or a virtual network's name, or nothing; never a second option of the device."""
HYBRIDOPS_PAUSE_SECONDS = 90
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"


class TemplateOptions(Frozen):
    """Options of one template. Unset, the site's settings count."""

    template_vm_id: int | None = Field(
        default=None, **_VMID, description="the template's VMID; a free one of the site's vmid_range where empty"
    )
    template_name: str = Field(
        default="",
        pattern=rf"^({_LABEL}(\.{_LABEL})*)?$",
        max_length=127,
        description="a DNS name, as Proxmox VE wants it; made from record key and version where empty",
    )
    seed_if_missing: bool = Field(default=True, description="false: adopt what is there, or refuse")
    rebuild_if_exists: bool = Field(
        default=False,
        description="replace what stands under template_vm_id, if it is ours and unused, once its successor is ready; "
        "make a new template where this record's own was changed by hand",
    )
    storage_vm: str = Field(default="", pattern=_STORAGE, description="storage of the disk; the site's where empty")
    network_bridge: str = Field(default="", pattern=_BRIDGE, description="the site's where empty")
    cpu_cores: int = Field(default=2, ge=1, le=1024, strict=True, description="of the template, if this run makes it")
    memory_mb: int = Field(
        default=2048, ge=512, le=4 << 20, strict=True, description="of the template, if this run makes it"
    )
    ci_username: str = Field(
        default="", pattern=r"^[a-z_][a-z0-9_-]{0,31}$|^$", description="user of Proxmox' own cloud-init drive"
    )
    template_smoke_gate: bool | None = Field(default=None, description="the site's where empty")
    template_smoke_wait_s: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        strict=True,
        description="longest wait for the clone's guest agent, in seconds; 600 where empty or 90, HybridOps' default",
    )
    template_smoke_vmid: int | None = Field(
        default=None, **_VMID, description="of the clone; a free one of vmid_range where empty"
    )
    template_smoke_bridge: str = Field(
        default="", pattern=_BRIDGE, description="of the clone; the template's where empty"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_pause_is_no_limit(cls, given: Any) -> Any:
        """HybridOps' default is a pause after which it looks; as a limit it would end slow boots early."""
        if isinstance(given, dict) and given.get("template_smoke_wait_s") == HYBRIDOPS_PAUSE_SECONDS:
            return given | {"template_smoke_wait_s": None}
        return given

    @model_validator(mode="after")
    def _clone_and_template_differ(self) -> "TemplateOptions":
        if self.template_vm_id is not None and self.template_vm_id == self.template_smoke_vmid:
            raise ValueError("template_smoke_vmid is template_vm_id: the clone needs a VMID of its own")
        return self


_IMAGE_REF = r"^([A-Za-z0-9][A-Za-z0-9._:@/-]{0,126})?$"
_LOCATION = r"^([a-z0-9][a-z0-9-]{1,31})?$"
_SERVER_TYPE = r"^([a-z][a-z0-9-]{1,31})?$"
"""What may name a snapshot, a location and a server type of Hetzner Cloud; or nothing."""


class SnapshotOptions(Frozen):
    """Options of one snapshot. Unset, the site's settings count."""

    image_ref: Annotated[str, BeforeValidator(number_as_text)] = Field(
        default="",
        pattern=_IMAGE_REF,
        description="id or description of the snapshot that has to hold the record; then none is made",
    )
    seed_if_missing: bool = Field(default=True, description="make the snapshot where none holds the record")
    seed_location: str = Field(
        default="",
        pattern=_LOCATION,
        description="of the server that writes; the site's locations where empty",
    )
    seed_server_type: str = Field(
        default="",
        pattern=_SERVER_TYPE,
        description="of that server; the smallest and cheapest on offer where empty",
    )
