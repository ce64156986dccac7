"""What killed runs leave behind: servers and keys that cost money, as against those of a run that is still at work.

Only what carries our labels, whole, is ever a leftover: nothing is deleted for its name alone.
"""

from collections.abc import Mapping
from datetime import datetime

from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.upkeep import IsLive
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.labels import Labels, seeder_selector

LONGEST_LIFETIME = 24 * 3600.0
"""Seconds. No seed sets a later expiry, so one that is further from the creation was written by a wrong clock."""

TOLERANCE = 900.0
"""Seconds by which clocks may differ unnoticed."""


def expiry_of(labels: Labels, created: datetime) -> int | None:
    """Return when a seeder's time is over, in epoch seconds by Hetzner's clock; None where its labels do not say.

    Args:
        labels: of the server or key.
        created: when it was made, by Hetzner's clock. An expiry before that, or too long after it, was written by a
            host whose clock is wrong; then the longest lifetime counts from the creation.
    """
    if labels.expires is None:
        return None
    born = created.timestamp()
    believable = born <= labels.expires <= born + LONGEST_LIFETIME
    return int((labels.expires if believable else born + LONGEST_LIFETIME) + TOLERANCE)


def is_expired(labels: Labels, created: datetime, *, now: float) -> bool:
    """Tell whether a seeder's time is over, of any maker; `now` is in epoch seconds, by Hetzner's clock."""
    expiry = expiry_of(labels, created)
    return expiry is not None and expiry < now


def is_leftover(
    labels: Labels | None, created: datetime, request: SeedRequest, *, now: float, is_live: IsLive
) -> bool:
    """Tell whether a run of this seed may delete a server or key: its own seed's dead ones, its environment's expired.

    A run that is unknown here may be at work on another host: what it made stays until its time is over. What
    another environment made, or what is not known to be this one's, is no leftover.
    """
    if labels is None or labels.role != "seeder" or not request.owner_of(labels.claim, is_live=is_live).ours:
        return False
    expired = is_expired(labels, created, now=now)
    if labels.run_id == request.run_id:
        return labels.seed_id == request.seed_id or expired
    live = is_live(labels.run_id)
    if live is None:
        return expired
    return not live and (expired or labels.seed_id == request.seed_id)


def reap_leftovers(client: HetznerClient, request: SeedRequest, *, now: float, is_live: IsLive) -> list[str]:
    """Delete the leftovers that this seed's run may delete, and return their names. Servers go before keys."""

    def leftover(written: Mapping[str, str], created: datetime) -> bool:
        return is_leftover(Labels.parse(written), created, request, now=now, is_live=is_live)

    selector = seeder_selector()
    servers = [one for one in client.list_servers(selector) if leftover(one.labels, one.created)]
    for server in servers:
        client.delete_server(server)
    keys = [one for one in client.list_keys(selector) if leftover(one.labels, one.created)]
    for key in keys:
        client.delete_key(key)
    return [*(server.name for server in servers), *(key.name for key in keys)]
