"""A Proxmox VE node as an acceptance run tries it. It costs nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.upkeep import Finding, Needed
from hyops_assets.settings.pipeline import Settings
from resources.sites.proxmox import undoing
from resources.sites.proxmox.preflight import require_readable
from resources.sites.proxmox.resource import ProxmoxSeeders
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.survey import survey
from resources.sites.trial import Call, Terms


@dataclass(frozen=True)
class ProxmoxTrial:
    """A Proxmox VE node.

    Attributes:
        name: of the site.
        seeder: of the site.
        environment: the id of the one that asks; None where it has none.
        upload: whether a record that is not built yet will be sent there from this host.
        terms: none: a template costs nothing.
        reads_back: the node compares what it took itself.
    """

    name: str
    seeder: ProxmoxSeeder
    environment: str | None
    upload: bool
    terms: Terms | None = None
    reads_back: bool = False
    options: Mapping[str, object] = field(default_factory=dict[str, object])

    def priced(self, disk_bytes: int) -> Self:
        """Return the trial as it is."""
        return self

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return what making, trying and destroying one template asks of the Proxmox VE API."""
        site = self.seeder.site
        upload = contract.urls["qcow2"].startswith("file:") if contract else self.upload
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

    def found(self, record: Record) -> str:
        """Return the first machine that holds, or claims to hold, any of the record."""
        require_readable(self.seeder.client)
        seed_id = SeedRequest(record=record, url="", run_id="", site=self.name).seed_id
        standing = survey(self.seeder.client, record, seed_id, is_ours=lambda lineage: False)
        held = (*standing.complete, *standing.unfinished, *standing.changed, *standing.rivals)
        return f"VMID {held[0].vmid}" if held else ""

    def undo(self, record: Record, runs: frozenset[str], needed: Needed) -> list[Finding]:
        """Remove what these runs made."""
        return undoing.undo(self.seeder, self.name, self.environment, record, runs, needed=needed)

    def remaining(self, runs: frozenset[str]) -> list[str]:
        """Return what is left of these runs."""
        return undoing.remaining(self.seeder, runs)


def proxmox_trial(settings: Settings, name: str) -> ProxmoxTrial:
    """Return a site to be tried. Raises as `ProxmoxSeeders.seeder`."""
    seeders = ProxmoxSeeders(settings)
    return ProxmoxTrial(name, seeders.seeder(name), settings.environment_id, seeders.uploads)
