"""Upkeep in `pipeline.yml`: what is looked after without being asked for, how often, and what is kept."""

from typing import Literal

from pydantic import Field

from hyops_assets.contract.canonical import Frozen
from hyops_assets.contract.names import MOST, MOST_DAYS

EveryHours = Literal[1, 2, 3, 4, 6, 8, 12, 24]


class UpkeepSettings(Frozen):
    """Leftovers of killed runs cost money by the hour, so they are looked for without being asked."""

    leftovers: Literal["running", "stopped"] = Field(
        default="running", description="running: servers, keys and scratch machines of dead runs are removed"
    )
    leftovers_every_hours: EveryHours = Field(default=1, description="between two looks for leftovers")
    keep: int = Field(
        default=2, ge=0, le=MOST, description="superseded versions that hyops cleanup leaves, per record key and site"
    )
    keep_days: int = Field(default=7, ge=0, le=MOST_DAYS, description="what is younger is left by hyops cleanup")
    drift: Literal["running", "stopped"] = Field(
        default="running", description="running: what was seeded and published is looked at again"
    )
    drift_every_hours: EveryHours = Field(default=24, description="between two looks for drift")
    full_hash_days: int = Field(
        default=30,
        ge=1,
        le=MOST_DAYS,
        description="after which a published object is read whole again; its head is, at every look",
    )
