"""The daily cap where the money is spent: asked right before a seed creates anything, from wherever it was started."""

import time

import dagster as dg

from hyops_assets.assets.run_liveness import is_live
from hyops_assets.contract.seed_policy import require_affordable
from hyops_assets.seeds.canary_and_cap import caps_of
from hyops_assets.seeds.history import SeedLog
from hyops_assets.seeds.partitions import Cloud, site_of
from hyops_assets.settings.pipeline import Settings
from resources.sites.base import PaidSeed


def require_within_cap(context: dg.AssetExecutionContext, cloud: Cloud, options: PaidSeed, settings: Settings) -> None:
    """See that one more image may be created at this seed's site, and note in the log that it is about to be.

    The note comes first: of two seeds that ask at the same moment, the one that noted it first may go on.

    Raises:
        DailyCapReached: as many were created in the last 24 hours as may be, and the caller did not say to go on.
    """
    log = SeedLog(context.instance, cloud)
    key = context.partition_key
    context.log_event(log.paying(key))
    if options.over_daily_cap:
        return
    now = time.time()

    def may_pay(run_id: str) -> bool:
        # Another host's run of which nothing is known may be creating its image.
        return is_live(context.instance, run_id) is not False

    paid = log.paid_before(context.run.run_id, may_pay, now=now)
    require_affordable(paid, site_of(key), caps_of(cloud, settings), now=now)
