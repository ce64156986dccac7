"""A Hetzner project as an acceptance run tries it. The server that writes is fixed before: no dearer one is taken."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.record import Record
from hyops_assets.contract.upkeep import Finding, Needed
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import HetznerSite
from resources.sites.hetzner import undoing
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.cost import Cost
from resources.sites.hetzner.inventory import Offer
from resources.sites.hetzner.labels import description_of
from resources.sites.hetzner.resource import HetznerProjects
from resources.sites.hetzner.seed import HetznerSeeder
from resources.sites.hetzner.workbench import choose_offers
from resources.sites.trial import Call, Terms


@dataclass(frozen=True)
class HetznerTrial:
    """A Hetzner project.

    Attributes:
        name: of the site.
        site: its settings.
        client: of the project.
        environment: the id of the one that asks; None where it has none.
        offer: the server that writes; None where none was fixed.
        terms: what was fixed for it.
        reads_back: the server reads the disk that it wrote.
    """

    name: str
    site: HetznerSite
    client: HetznerClient
    environment: str | None
    offer: Offer | None = None
    terms: Terms | None = None
    reads_back: bool = True

    @property
    def options(self) -> Mapping[str, object]:
        """Return the server whose cost was shown."""
        offer = self.offer
        return {"seed_server_type": offer.server_type, "seed_location": offer.location} if offer else {}

    def priced(self, disk_bytes: int) -> Self:
        """Return the trial with its server, by the API's prices now.

        Raises:
            Refused: no server type fits, or the API tells no price of it.
        """
        fitting = choose_offers(self.client.list_offers(), disk_bytes, self.site.locations)
        if not fitting:
            raise Refused(
                f"no server type for a disk of {disk_bytes} bytes is to be had in {', '.join(self.site.locations)}",
                hint="add locations to the site's settings, or try again later",
            )
        offer = fitting[0]
        if offer.hourly <= 0:
            raise Refused(f"Hetzner tells no price of {offer.server_type} in {offer.location}", hint="try again later")
        cost = Cost.at_most(
            offer,
            disk_bytes=disk_bytes,
            # Longer than all that a seed waits for: after that its server counts as a leftover, and is swept.
            seconds=self.client.timeouts.lifetime,
            eur_per_gb_month=self.site.snapshot_eur_per_gb_month,
        )
        terms = Terms(
            round(cost.server_eur + (cost.snapshot_eur_per_month or 0.0), 4),
            f"{offer.server_type} in {offer.location} for {cost.server_hours} h, {cost.snapshot_gb} GB for a month",
            {"offer": asdict(offer), "cost": asdict(cost)},
        )
        return replace(self, offer=offer, terms=terms)

    def calls(self, contract: Contract | None) -> list[Call]:
        """Return what seeding, committing and removing one image asks of Hetzner's API."""
        name = description_of(contract.record) if contract else "hyops-<key>-<version>"
        server, protection = "/servers/{id}", "/images/{id}/actions/change_protection"
        offer, protect = self.offer, self.site.protect
        writes = f"{offer.server_type} in {offer.location}, {offer.hourly:.4f} EUR/h" if offer else "it writes"
        return [
            Call("POST", "/ssh_keys", "a key that lives as long as the seed"),
            Call("POST", "/servers", f"{writes}, off"),
            Call("POST", f"{server}/actions/enable_rescue", "the next boot goes into the rescue system"),
            Call("POST", f"{server}/actions/poweron", "boot it"),
            Call("SSH", server, "have it prove to be the rescue system; write the disk, read it back, power off"),
            Call("POST", f"{server}/actions/create_image", f"snapshot {name}, labelled pending"),
            Call("PUT", "/images/{id}", "label it ready: the commit"),
            *([Call("POST", protection, "protect it")] if protect else []),
            Call("DELETE", server, "the server is not paid for any more"),
            Call("DELETE", "/ssh_keys/{id}", "nor is its key needed"),
            *([Call("POST", protection, "removal: lift the protection")] if protect else []),
            Call("DELETE", "/images/{id}", "removal: delete the snapshot"),
        ]

    def found(self, record: Record) -> str:
        """Return the first snapshot that claims to hold the record."""
        snapshots = HetznerSeeder(self.client, self.site).find(record)
        return f"snapshot {snapshots[0].id}" if snapshots else ""

    def undo(self, record: Record, runs: frozenset[str], needed: Needed) -> list[Finding]:
        """Remove what these runs made."""
        return undoing.undo(self.client, self.name, self.environment, runs, needed=needed)

    def remaining(self, runs: frozenset[str]) -> list[str]:
        """Return what is left of these runs."""
        return undoing.remaining(self.client, runs)


def hetzner_trial(settings: Settings, name: str) -> HetznerTrial:
    """Return a site to be tried. Raises as `HetznerProjects.client`."""
    site, client = settings.hetzner_site(name), HetznerProjects(settings).client(name)
    return HetznerTrial(name, site, client, settings.environment_id)
