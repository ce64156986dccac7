"""What holds a seed back that is due otherwise: its cloud's canaries, and the daily cap of paid seeds.

What is owed, and why else a cell waits, stands in `owed.py`; `hyops seed` and the seeds themselves ask here too.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from hyops_assets.contract.seed_policy import Caps, Paid, cap_holds, wave_holds
from hyops_assets.seeds.history import SeedLog
from hyops_assets.seeds.partitions import Cloud, cell_of
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.sites import PaidSite


def auto_sites(cloud: Cloud, settings: Settings) -> list[str]:
    """Return the sites of a cloud that seed by themselves."""
    return sorted(name for name, site in cloud.sites(settings).items() if site.seed == "auto")


def wave_waits(
    cloud: Cloud,
    keys: Collection[str],
    settings: Settings,
    log: SeedLog,
    *,
    now: float,
    vouched: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Return which of these cells wait for their cloud's canaries, and why.

    Args:
        cloud: of the cells.
        keys: the cells.
        settings: name the canaries.
        log: what was seeded.
        now: epoch seconds.
        vouched: record digests by version, of contracts whose publication the log does not know.
    """
    canaries = sorted(name for name, site in cloud.sites(settings).items() if site.canary)
    rest = [key for key in keys if cell_of(key)[0] not in canaries]
    if not canaries or not rest:
        return {}
    versions = {cell_of(key)[1] for key in rest}
    published = {version: event for version, event in log.published().items() if version in versions}
    digests = dict(vouched) | {version: noted.record_digest for version, noted in log.contracts(published).items()}
    why = {
        version: wave_holds(
            [log.canary(site, version, digests.get(version, "")) for site in canaries],
            pause_seconds=settings.seeding.rest_after_minutes * 60,
            now=now,
        )
        for version in versions
    }
    return {key: why[cell_of(key)[1]] for key in rest if why[cell_of(key)[1]]}


def cap_waits(keys: Collection[str], settings: Settings, log: SeedLog, *, now: float) -> dict[str, str]:
    """Return which of these cells of a paid cloud wait for the daily cap, and why.

    What is queued or at work counts as created.
    """
    created = log.created(now=now)
    settled = {run_id for _, run_id in created}
    at_work = log.at_work(log.cloud.sites(settings)).items()
    counted = [paid for paid, _ in created] + [
        Paid(cell_of(key)[0], now) for key, run_id in at_work if run_id not in settled
    ]
    published, caps = log.published(), caps_of(log.cloud, settings)
    waits: dict[str, str] = {}
    for key in sorted(keys, key=lambda key: (-published.get(cell_of(key)[1], 0), key)):
        site, _ = cell_of(key)
        if why := cap_holds(counted, site, caps, now=now):
            waits[key] = why
        else:
            counted.append(Paid(site, now))
    return waits


def caps_of(cloud: Cloud, settings: Settings) -> Caps:
    """Return the caps of a cloud's configured sites; one without a cap of its own may create nothing."""
    sites = cloud.sites(settings).items()
    by_site = {name: site.paid_seeds_a_day for name, site in sites if isinstance(site, PaidSite)}
    return Caps(by_site, settings.seeding.paid_seeds_a_day)
