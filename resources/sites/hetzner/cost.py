"""What a seed costs, as far as prices are known: an estimate for people, never a bill.

Server types tell their prices in the API, per hour and location. What a snapshot costs the endpoints that a seed uses
do not tell: the site's settings do. Addresses, traffic and VAT are left out.
"""

import math
from dataclasses import dataclass

from resources.sites.hetzner.inventory import GIGABYTE, Offer, Snapshot


@dataclass(frozen=True)
class Cost:
    """Net amounts in EUR.

    Attributes:
        server_hours: started hours for which the server that wrote existed; 0 where none was made.
        server_eur: what those cost.
        snapshot_gb: what is stored, compressed; None where Hetzner does not tell yet.
        snapshot_eur_per_month: what that costs from now on, each month.
    """

    server_hours: int
    server_eur: float
    snapshot_gb: float | None
    snapshot_eur_per_month: float | None

    @classmethod
    def of(
        cls, snapshot: Snapshot, *, eur_per_gb_month: float, offer: Offer | None = None, seconds: float = 0
    ) -> "Cost":
        """Return the cost of a seed; `offer` and `seconds` of the server that wrote, where there was one."""
        hours = max(1, math.ceil(seconds / 3600)) if offer else 0
        held = snapshot.image_gb
        return cls(
            server_hours=hours,
            server_eur=round(hours * offer.hourly, 4) if offer else 0.0,
            snapshot_gb=held,
            snapshot_eur_per_month=None if held is None else round(held * eur_per_gb_month, 4),
        )

    @classmethod
    def at_most(cls, offer: Offer, *, disk_bytes: int, seconds: float, eur_per_gb_month: float) -> "Cost":
        """Return what a seed costs at most: its server for all those seconds, its snapshot not compressed at all."""
        hours, held = math.ceil(seconds / 3600), disk_bytes / GIGABYTE
        return cls(
            server_hours=hours,
            server_eur=round(hours * offer.hourly, 4),
            snapshot_gb=round(held, 3),
            snapshot_eur_per_month=round(held * eur_per_gb_month, 4),
        )
