"""What may be asked of one seed of a snapshot: inputs of `core/hetzner/vyos-image-seed`, and the daily cap."""

from hyops_assets.contract.seed_options import SnapshotOptions
from resources.sites.base import PaidSeed


class PaidSnapshot(SnapshotOptions, PaidSeed):
    """What is asked besides which record."""

    @property
    def may_create(self) -> bool:
        """Whether a snapshot is made where none holds the record."""
        return self.seed_if_missing and not self.image_ref
