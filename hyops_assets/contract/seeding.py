"""What a seed is asked for, whatever the cloud: one record, one target, one run."""

from dataclasses import dataclass
from typing import Literal

from hyops_assets.contract.canonical import digest_of
from hyops_assets.contract.record import Record

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
    """

    record: Record
    url: str
    run_id: str
    site: str

    @property
    def seed_id(self) -> str:
        """16 hex digits that name this seed: the same for every run that seeds this record at this site."""
        return digest_of({"record": self.record.digest, "site": self.site})[:16]
