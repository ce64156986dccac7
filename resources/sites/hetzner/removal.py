"""Deleting a snapshot that may be protected: judged once more in between, and protected again where it stays."""

from collections.abc import Callable

from hyops_assets.contract.upkeep import Finding
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.errors import NotFound
from resources.sites.hetzner.inventory import Snapshot


def delete_snapshot(
    client: HetznerClient,
    snapshot: Snapshot,
    finding: Finding,
    again: Callable[[], Finding],
    *,
    before: Callable[[], object] = lambda: None,
) -> Finding:
    """Delete a snapshot that was just judged, and return what became of it.

    Args:
        client: of its project.
        snapshot: as it was just read.
        finding: that says that it may go.
        again: judges it once more.
        before: called right before the deletion, and where another was faster.
    """
    try:
        if snapshot.protected:
            client.unprotect_snapshot(snapshot)
            if (now := again()).verdict != "remove":
                client.protect_snapshot(snapshot)
                return now
        before()
        client.delete_snapshot(snapshot)
    except NotFound:
        before()
        return finding.turned("removed", "gone meanwhile")
    return finding.turned("removed")
