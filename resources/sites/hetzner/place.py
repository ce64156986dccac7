"""A Hetzner Cloud project as a place that is seeded: what the seeder, the sweep and the client do, in common words."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.inputs import ModuleInputs
from hyops_assets.contract.record import Record
from hyops_assets.contract.register_inputs import ImageRegisterInputs
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.state import image_outputs
from hyops_assets.contract.upkeep import IsLive
from hyops_assets.settings.sites import HetznerSite
from resources.sites.base import Audited, Fact, Order, Registered, Seeded, Vouched
from resources.sites.cleanup import CleanupContext, Removal, SiteObject
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import MissingImage
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import description_of
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.registration import NotThatImage, registered, require_image
from resources.sites.hetzner.report import ImageFacts, SeededImage
from resources.sites.hetzner.source import OpenSource, published
from resources.sites.hetzner.superseded import superseded_snapshots
from resources.sites.hetzner.sweep import Sweep
from resources.sites.links import Link
from resources.sites.mistyped_id import there_instead

if TYPE_CHECKING:
    from resources.sites.hetzner.seed import HetznerSeeder


@dataclass(frozen=True)
class _Taken:
    """The file of a record that one seed takes: its URL, what an auditor sees of it, and what yields it."""

    url: str
    said: str
    open: OpenSource = published


class Project:
    """One project.

    Args:
        client: of it.
        site: its settings.
        name: of the site.
        environment: the id of the environment that asks; None where it has none.
        is_live: tells whether another run is still at work.
    """

    def __init__(
        self, client: HetznerClient, site: HetznerSite, name: str, *, environment: str | None, is_live: IsLive
    ) -> None:
        self._client = client
        self._site = site
        self._name = name
        self._environment = environment
        self._is_live = is_live

    def holds(self, record: Record) -> bool:
        """Whether a snapshot claims to hold the record, whatever its state."""
        return bool(self._seeder().find(record))

    def outlook(self, record: Record, options: BaseModel) -> str:
        """Return the id of the snapshot that a seed would adopt. Raises as `HetznerSeeder.outlook`."""
        if not isinstance(options, PaidSnapshot):
            raise TypeError(type(options).__name__)
        asked = SeedRequest(record=record, url="", run_id="", site=self._name, environment=self._environment)
        return self._seeder().outlook(asked, options)

    def register(self, claimed: ModuleInputs) -> Registered:
        """Look at a snapshot that others made. Raises as `require_image`, where the project has none such too."""
        if not isinstance(claimed, ImageRegisterInputs):
            raise TypeError(type(claimed).__name__)
        seeder, lab = self._seeder(), self._site.lab
        try:
            facts = seeder.audit(claimed.image_ref)
        except MissingImage as error:
            raise NotThatImage(
                f"hetzner/{self._name} has no snapshot {claimed.image_ref}; "
                f"{there_instead('snapshots', seeder.snapshots())}",
                hint="set image_ref to one of them; one of another project is seen from that project's site only; "
                "apply core/hetzner/vyos-image-seed makes this project its own",
            ) from error
        found = require_image(facts, claimed, lab=lab, environment=self._environment)
        return registered(found, claimed, lab=lab)

    def seed(self, order: Order) -> Seeded:
        """Have one ready snapshot of the record. Raises as `HetznerSeeder.seed`."""
        options, contract, taken = order.asked(PaidSnapshot), order.contract, self._taken(order)
        seeded = self._seeder().seed(
            order.request(taken.url),
            options,
            open_source=taken.open,
            before_creation=order.before_creation,
            progress=order.progress,
        )
        return Seeded(
            ref=seeded.image_ref,
            report=seeded,
            environment=seeded.labels.get("hyops_environment"),
            size_bytes=contract.record.disk.size_bytes,
            outputs=image_outputs(
                contract,
                image_ref=seeded.image_ref,
                name=seeded.name,
                description=seeded.description,
                seeded=seeded.outcome != "adopted",
            ),
            facts=_facts(seeded) | {"source": taken.said},
        )

    def _taken(self, order: Order) -> "_Taken":
        """Return what a seed takes: the record's raw.xz. Here alone it is decided whether a qcow2 is wrapped into one.

        Where neither can be, only what is there already is found; the seeder refuses the rest.
        """
        urls, given = order.contract.urls, order.handed_over
        if "raw.xz" in urls:
            unused = "; nothing was wrapped: the record has a raw.xz" if given.wrapper_base_url else ""
            return _Taken(urls["raw.xz"], f"{urls['raw.xz']}{unused}")
        if not given.wrapper_base_url:
            return _Taken("", "none: the snapshot was there")
        # Here, as only this path serves anything.
        from resources.sites.hetzner.wrapping import Wrapper, wrapped

        wrapper = Wrapper(given.wrapper_base_url, given.wrapper_port)
        said = f"{urls['qcow2']}, wrapped by this host"
        return _Taken(urls["qcow2"], said, partial(wrapped, wrapper=wrapper, lab=self._site.lab))

    def vouch(self, contract: Contract, ref: str, *, made: bool) -> Vouched:
        """Look at a snapshot as a registration does. Raises as `require_image`, and MissingImage."""
        claimed = ImageRegisterInputs(
            image_key=contract.record.key, image_ref=ref, image_version=contract.record.version
        )
        facts = self._seeder().audit(ref)
        found = require_image(facts, claimed, lab=self._site.lab, environment=self._environment)
        said = found.facts.description
        outputs = image_outputs(contract, image_ref=ref, name=said, description=said, seeded=made)
        return Vouched(outputs, found.warnings)

    def audit(self, ref: str) -> Audited:
        """Read one snapshot.

        Raises:
            MissingImage: there is none.
        """
        return audited(self._seeder().audit(ref), protect=self._site.protect)

    def list(self, wanted: Collection[str]) -> Mapping[str, Audited]:
        """Read every snapshot, in one listing."""
        found = [ImageFacts.of(snapshot) for snapshot in self._client.list_snapshots()]
        return {facts.image_ref: audited(facts, protect=self._site.protect) for facts in found}

    def sweep(self, at_work: Callable[[], str | None]) -> Sweep:
        """Look for servers and keys: whose they are says the run in their labels, also while others are at work."""
        return Sweep(self._client, self._name, environment=self._environment, is_live=self._is_live)

    def superseded(self, ground: CleanupContext) -> Removal[SiteObject[Snapshot]]:
        """Look for snapshots that newer records have replaced."""
        return superseded_snapshots(self._client, self._site, ground)

    def preflight(self) -> str:
        """Say whether the project answers to its token, and how many snapshots it holds of those it may."""
        held = len(self._client.list_snapshots())
        return f"the token works; {held} snapshots of {self._site.snapshot_limit}"

    def _seeder(self) -> "HetznerSeeder":
        # Here, as it loads AsyncSSH: most of a second that every start of the graph would pay.
        from resources.sites.hetzner.seed import HetznerSeeder

        return HetznerSeeder(self._client, self._site, is_live=self._is_live)


def audited(facts: ImageFacts, *, protect: bool = False) -> Audited:
    """Return what a snapshot says of itself; `protect` as the site's settings say."""
    labels = facts.labels
    committed = labels is not None and (labels.role, labels.state) == ("image", "ready")
    return Audited(
        whole=Link("is available", "available", facts.status),
        state=labels.state if labels else None,
        disk_sha256=labels.disk_sha256 if labels else None,
        record_digest=labels.record_digest if labels else None,
        environment=labels.environment if labels else None,
        fault=lambda record: Link(
            "carries the name that HybridOps looks for", description_of(record), facts.description
        ),
        ready=(labels.record_digest, labels.environment) if labels and committed else None,
        unprotected=protect and not facts.protected,
    )


def _facts(seeded: SeededImage) -> dict[str, Fact]:
    """Return what an auditor sees of a seed in a Hetzner project. Costs are estimates, net and in EUR."""
    return {
        "image_ref": seeded.image_ref,
        "description": seeded.description,
        "labels": dict(seeded.labels),
        "transport_sha256": seeded.transport_sha256 or f"{seeded.outcome}: nothing was sent",
        "readback_sha256": seeded.readback_sha256 or f"{seeded.outcome}: nothing was written",
        "rescue_proof": ", ".join(seeded.rescue_proof) or f"{seeded.outcome}: no server was made",
        "bytes_written": seeded.bytes_written,
        "bytes_sent": seeded.bytes_sent,
        "server_type": seeded.server_type or "none",
        "location": seeded.location or "none",
        "cost": asdict(seeded.cost),
        "other snapshots of this name": list(seeded.others),
        "leftovers removed": list(seeded.reaped),
    }
