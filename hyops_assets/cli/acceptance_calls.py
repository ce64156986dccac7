"""The changing calls of an acceptance run, in order: what its dry run prints. A test holds them to a real run's trace.

What is asked again after a passing failure, and what only reads, is not listed.
"""

from dataclasses import dataclass

from hyops_assets.contract.record import Record
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite
from resources.sites.hetzner.inventory import Offer
from resources.sites.hetzner.labels import description_of


@dataclass(frozen=True)
class Call:
    """One call: `SSH` for a command on the server that writes. `{…}` in a path is an id that is not known before."""

    method: str
    path: str
    why: str


def hetzner_calls(site: HetznerSite, offer: Offer, record: Record | None) -> list[Call]:
    """Return what seeding, committing and removing one image asks of Hetzner's API.

    Args:
        site: the site.
        offer: the server that writes.
        record: None where it is not built yet.
    """
    name = description_of(record) if record else "hyops-<key>-<version>"
    server = "/servers/{id}"
    protection = "/images/{id}/actions/change_protection"
    return [
        Call("POST", "/ssh_keys", "a key that lives as long as the seed"),
        Call("POST", "/servers", f"{offer.server_type} in {offer.location}, {offer.hourly:.4f} EUR/h, off"),
        Call("POST", f"{server}/actions/enable_rescue", "the next boot goes into the rescue system"),
        Call("POST", f"{server}/actions/poweron", "boot it"),
        Call("SSH", server, "have it prove to be the rescue system; write the disk, read it back, power off"),
        Call("POST", f"{server}/actions/create_image", f"snapshot {name}, labelled pending"),
        Call("PUT", "/images/{id}", "label it ready: the commit"),
        *([Call("POST", protection, "protect it")] if site.protect else []),
        Call("DELETE", server, "the server is not paid for any more"),
        Call("DELETE", "/ssh_keys/{id}", "nor is its key needed"),
        *([Call("POST", protection, "removal: lift the protection")] if site.protect else []),
        Call("DELETE", "/images/{id}", "removal: delete the snapshot"),
    ]


def proxmox_calls(site: ProxmoxSite, *, upload: bool) -> list[Call]:
    """Return what making, trying and destroying one template asks of the Proxmox VE API.

    Args:
        site: the site.
        upload: whether the image is sent from this host, because the node has no URL to fetch it by.
    """
    node = f"/nodes/{site.node}"
    machine, clone = f"{node}/qemu/{{vmid}}", f"{node}/qemu/{{clone}}"
    storage = f"{node}/storage/{site.import_storage}"
    smoke = [
        Call("POST", f"{machine}/clone", "smoke gate: a clone"),
        Call("POST", f"{clone}/status/start", "smoke gate: boot it"),
        Call("POST", f"{clone}/agent/ping", "smoke gate: until its guest agent answers"),
        Call("POST", f"{clone}/status/stop", "smoke gate: stop it"),
        Call("DELETE", clone, "smoke gate: destroy it"),
    ]
    return [
        Call("POST", f"{storage}/upload", "send the qcow2; it stays there")
        if upload
        else Call("POST", f"{storage}/download-url", "the node fetches the qcow2; it stays there"),
        Call("POST", f"{node}/qemu", f"a machine of {site.vmid_range[0]}-{site.vmid_range[1]}, its disk imported"),
        Call("PUT", f"{machine}/config", "tag it, unless the datacenter reserves tags"),
        Call("POST", f"{machine}/template", "make it a template"),
        *(smoke if site.template_smoke_gate else []),
        Call("PUT", f"{machine}/config", "mark it ready: the commit"),
        Call("DELETE", machine, "removal: destroy the template"),
    ]
