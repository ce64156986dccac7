"""The clouds that records are seeded to: one row each. Nothing else outside a cloud's folder knows which there are."""

from resources.sites.base import CloudSpec
from resources.sites.hetzner.cloud import HETZNER
from resources.sites.proxmox.cloud import PROXMOX

CLOUDS: tuple[CloudSpec, ...] = (
    PROXMOX,
    HETZNER,
)


def row_of(name: str) -> CloudSpec:
    """Return the row of a cloud.

    Raises:
        KeyError: there is none of that name.
    """
    return {row.name: row for row in CLOUDS}[name]
