"""Proxmox VE's row: a published record as a template on a node. No client is loaded before a site is asked."""

from typing import TYPE_CHECKING

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.superseding import TEMPLATES
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import ProxmoxSite
from resources.sites.base import CloudSpec, Places
from resources.sites.trial import Trial

if TYPE_CHECKING:
    import dagster as dg

_BEYOND_A_TOKEN = (
    ("/var/lib/vz/snippets/hyops-vyos-smoke-*", "no API lists or removes it; on the node: rm -i {path}"),
    ("/var/tmp/hyops-vyos-smoke-mnt-*", "no API reaches it; on the node: umount {path}; rmdir {path}"),  # noqa: S108
)
"""What HybridOps' smoke tests leave on a node (source document, "Cleanup after failed build attempts")."""


def _open(settings: Settings) -> Places:
    from resources.sites.proxmox.resource import ProxmoxSeeders

    return ProxmoxSeeders(settings)


def _resource() -> "dg.ResourceDefinition":
    from resources.sites.proxmox.resource import proxmox_sites

    return proxmox_sites()


def _trial(settings: Settings, name: str) -> Trial:
    from resources.sites.proxmox.trial import proxmox_trial

    return proxmox_trial(settings, name)


def _missing(ref: str) -> HyopsError:
    from resources.sites.proxmox.errors import NoSuchObject

    return NoSuchObject(f"VMID {ref}", 500, "there is none", hint="seed the record again; it was destroyed")


PROXMOX = CloudSpec(
    name="proxmox",
    asset="proxmox_template",
    description="The record's qcow2 as a template of its own VMID on a Proxmox VE site, found by digest or created."
    "\n\nA template that holds this record's disk is adopted without a mutating call.",
    word="template",
    noun="VMID",
    whole="node",
    thing="template",
    things="templates",
    site=ProxmoxSite,
    options=TemplateOptions,
    words=TEMPLATES,
    environment_output="template_environment",
    takes="qcow2",
    answer="template_vm_id",
    stands="Every template that a seed left is there, unchanged, and the only one of its record.",
    missing=_missing,
    open=_open,
    resource=_resource,
    trial=_trial,
    beyond_reach=_BEYOND_A_TOKEN,
)
