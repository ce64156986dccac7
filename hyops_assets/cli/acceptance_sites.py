"""A site of an acceptance run, of either cloud: what it would ask for, whether it may, seed, audit, remove.

What belongs here: the two clouds behind one shape. What a seed or a removal does stands in `resources/`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hyops_assets.checks.links import site_links
from hyops_assets.cli.acceptance_calls import Call, hetzner_calls, proxmox_calls
from hyops_assets.cli.acceptance_removal import TriedNode, TriedProject, TriedSite
from hyops_assets.cli.graph import Graph, Ran
from hyops_assets.contract.documents import SeededAt
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.settings.sites import HetznerSite
from resources.sites.hetzner import place as at_hetzner
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.cost import Cost
from resources.sites.hetzner.inventory import Offer
from resources.sites.hetzner.seed import HetznerSeeder
from resources.sites.hetzner.workbench import choose_offers
from resources.sites.links import Link
from resources.sites.proxmox import place as at_proxmox
from resources.sites.proxmox.preflight import require_readable
from resources.sites.proxmox.survey import survey

_REVISION = "use a revision, which no site holds: hyops rebuild <version> --reason acceptance"


class TrialSite(TriedSite, Protocol):
    """What an acceptance run does at one site, besides removing what it made."""

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return the changing calls of a run, in order."""
        ...

    def require_absent(self, record: Record) -> None:
        """See that the site holds nothing of the record. Reads only.

        Raises:
            Refused: it does: adopting it would prove nothing.
        """
        ...

    def seed(self, graph: Graph, version: str) -> Ran:
        """Seed; raises as the graph does."""
        ...

    def wrong(self, ran: Ran, record: Record) -> list[str]:
        """Read back what a run seeded, and return what does not hold."""
        ...


@dataclass(frozen=True)
class Terms:
    """The server that writes, fixed before the run so that no dearer one is taken, and what the run costs at most."""

    offer: Offer
    cost: Cost

    @property
    def eur(self) -> float:
        """Net: the server, and the snapshot for a month."""
        return round(self.cost.server_eur + (self.cost.snapshot_eur_per_month or 0.0), 4)


def hetzner_terms(client: HetznerClient, site: HetznerSite, *, disk_bytes: int) -> Terms:
    """Return what a seed of a disk takes and costs at most, by the API's prices now. Reads only.

    Raises:
        Refused: no server type fits, or the API tells no price of it, so that no cap could hold.
    """
    fitting = choose_offers(client.list_offers(), disk_bytes, site.locations)
    if not fitting:
        raise Refused(
            f"no server type for a disk of {disk_bytes} bytes is to be had in {', '.join(site.locations)}",
            hint="add locations to the site's settings, or try again later",
        )
    offer = fitting[0]
    if offer.hourly <= 0:
        raise Refused(f"Hetzner tells no price of {offer.server_type} in {offer.location}", hint="try again later")
    cost = Cost.at_most(
        offer,
        disk_bytes=disk_bytes,
        # Longer than all that a seed waits for: after that its server counts as a leftover, and is swept.
        seconds=client.timeouts.lifetime,
        eur_per_gb_month=site.snapshot_eur_per_gb_month,
    )
    return Terms(offer, cost)


@dataclass(frozen=True)
class HetznerTrial(TriedProject):
    """A Hetzner project, and the server that writes."""

    site: HetznerSite
    offer: Offer

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return what a run asks for."""
        return hetzner_calls(self.site, self.offer, contract.record if contract else None)

    def require_absent(self, record: Record) -> None:
        """See that nothing here holds the record."""
        if found := HetznerSeeder(self.client, self.site).find(record):
            raise Refused(f"{self.name} holds {record.version} already: snapshot {found[0].id}", hint=_REVISION)

    def seed(self, graph: Graph, version: str) -> Ran:
        """Seed it, by the server whose cost was shown and no other."""
        pinned = {"seed_server_type": self.offer.server_type, "seed_location": self.offer.location}
        return graph.seed_hetzner(self.name, version, pinned)

    def wrong(self, ran: Ran, record: Record) -> list[str]:
        """Return what does not hold."""
        said = ran.metadata["hetzner_image"]
        found = [] if said["readback_sha256"] == record.disk.sha256 else ["the disk was not read back as the record's"]
        seeded = _seeded_at(self.name, str(said["image_ref"]), record)
        facts = HetznerSeeder(self.client, self.site).audit
        return found + _broken(
            site_links(self.cloud.spec.noun, seeded, record, lambda: at_hetzner.audited(facts(seeded.ref)))
        )


@dataclass(frozen=True)
class ProxmoxTrial(TriedNode):
    """A Proxmox VE node; `upload`: whether a record that is not built yet will be sent there from this host."""

    upload: bool

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return what a run asks for."""
        upload = contract.urls["qcow2"].startswith("file:") if contract else self.upload
        return proxmox_calls(self.seeder.site, upload=upload)

    def require_absent(self, record: Record) -> None:
        """See that nothing here holds the record."""
        require_readable(self.seeder.client)
        seed_id = SeedRequest(record=record, url="", run_id="", site=self.name).seed_id
        standing = survey(self.seeder.client, record, seed_id, is_ours=lambda lineage: False)
        for facts in (*standing.complete, *standing.unfinished, *standing.changed, *standing.rivals):
            raise Refused(f"{self.name} holds {record.version} already: VMID {facts.vmid}", hint=_REVISION)

    def seed(self, graph: Graph, version: str) -> Ran:
        """Seed it."""
        return graph.seed_proxmox(self.name, version)

    def wrong(self, ran: Ran, record: Record) -> list[str]:
        """Return what does not hold."""
        seeded = _seeded_at(self.name, str(ran.metadata["proxmox_template"]["vmid"]), record)
        facts = self.seeder.audit
        return _broken(
            site_links(self.cloud.spec.noun, seeded, record, lambda: at_proxmox.audited(facts(int(seeded.ref))))
        )


def _seeded_at(site: str, ref: str, record: Record) -> SeededAt:
    return SeededAt(
        site=site, ref=ref, version=record.version, record_digest=record.digest, disk_sha256=record.disk.sha256
    )


def _broken(links: Iterable[Link]) -> list[str]:
    return [f"{link.name}: {link.found!r}, not {link.expected!r}" for link in links if not link.holds]
