"""Seeding many sites, in `pipeline.yml`: in which order, and how often money is spent."""

from pydantic import Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import MOST


class SeedingSettings(Frozen):
    """What holds over all sites. A site's own part stands with the site."""

    rest_after_minutes: float = Field(
        default=60,
        ge=0,
        le=60 * 24 * 366,
        allow_inf_nan=False,
        description="the other sites of a cloud follow so long after its canaries were seeded and their lineage held",
    )
    paid_seeds_a_day: int = Field(
        default=20,
        ge=0,
        le=MOST,
        description="images that may be created in any 24 hours over all Hetzner sites; adopting one is free",
    )
