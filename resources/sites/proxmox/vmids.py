"""Which VMID a new machine may have: one of the site's range that no machine of the cluster has."""

from collections.abc import Collection, Iterator

from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import SiteNotReady


def free_vmids(client: ProxmoxClient, *, but: Collection[int | None] = (), downwards: bool = False) -> Iterator[int]:
    """Yield the free VMIDs of the site's range, each looked at when its turn comes: another user may take one first.

    Args:
        client: of the site's node.
        but: VMIDs that are meant for something else.
        downwards: from the range's end, where what is removed again is out of the way of templates.
    """
    low, high = client.site.vmid_range
    for vmid in range(high, low - 1, -1) if downwards else range(low, high + 1):
        if vmid not in but and client.is_free(vmid):
            yield vmid


def none_free(client: ProxmoxClient, purpose: str) -> SiteNotReady:
    """Return the error that no VMID of the site's range is left for a purpose."""
    low, high = client.site.vmid_range
    return SiteNotReady(
        f"no VMID in {low}-{high} is free for the {purpose}",
        hint="widen the site's vmid_range, or prune old templates",
    )
