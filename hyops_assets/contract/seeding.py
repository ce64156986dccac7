"""What a seed is asked for, whatever the cloud: one record, one target, one run."""

from dataclasses import dataclass
from typing import Literal

from hyops_assets.contract.canonical import digest_of
from hyops_assets.contract.ownership import Claim, Owner, owner_of
from hyops_assets.contract.record import Record
from hyops_assets.contract.upkeep import IsLive

Outcome = Literal["created", "adopted", "resumed"]
"""created: written by this run. adopted: found complete, no mutating call. resumed: a killed run's work, finished."""


@dataclass(frozen=True)
class SeedRequest:
    """Put the disk of a record onto one site.

    Attributes:
        record: the identity; `record.digest` and `record.disk.sha256` are what a target is compared with.
        url: where the target fetches the variant it takes (raw.xz for Hetzner, qcow2 for Proxmox).
        run_id: the Dagster run, for labels and audits.
        site: the site's name in `pipeline.yml`.
        environment: the id of the environment that asks, written on all that the seed makes; None where it has none.
    """

    record: Record
    url: str
    run_id: str
    site: str
    environment: str | None = None

    def owner_of(self, claim: Claim, *, is_live: IsLive) -> Owner:
        """Tell whether a thing is of the environment that asks: by its own word, or by a run that is known here."""
        known = claim.run_id == self.run_id or is_live(claim.run_id) is not None
        return owner_of(claim, self.environment, proven=known)

    @property
    def seed_id(self) -> str:
        """16 hex digits that name this seed: the same for every run that seeds this record at this site."""
        return digest_of({"record": self.record.digest, "site": self.site})[:16]
