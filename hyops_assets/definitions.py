"""The wiring: assets, checks, jobs, sensors and resources become one code location, `defs`.

The one factory serves the UI, the shell and the tests. Importing it reads no configuration but which runtime root
to use; `pipeline.yml` is read at every run.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import dagster as dg
from pydantic import BaseModel

from hyops_assets import jobs
from hyops_assets.assets import published_contract, records, upstream
from hyops_assets.assets.forget_partition import Forgetting
from hyops_assets.assets.leftovers import leftover_resources
from hyops_assets.assets.run_config import asked
from hyops_assets.assets.seeding import SEEDS
from hyops_assets.checks import drift, feed, gates, lineage, published, standing
from hyops_assets.contract.layout import RuntimeRoot, runtime_root
from hyops_assets.image.own_process import close_to_others
from hyops_assets.seeds.partitions import CLOUDS
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.documents import documents
from resources.artifacts.resource import artifact_store
from resources.boot import host_boot_gate
from resources.environment import environment, settings_resource
from resources.error_border import bordered
from resources.feed.resource import release_feed
from resources.notify import notifier
from resources.repository.resource import repository_resource
from resources.settings import load_settings
from resources.sites.resource import site_resources
from resources.states.resource import state_store
from sensors import upkeep
from sensors.failures import run_failures
from sensors.killed import killed_runs
from sensors.rebuilds import recipe_changes
from sensors.releases import vyos_rolling_release
from sensors.seeds import seed_automation

ASSETS = [
    upstream.vyos_iso,
    records.qcow2_record,
    records.raw_xz_record,
    published_contract.published_contract,
    leftover_resources,
]
OP_OPTIONS: Mapping[str, type[BaseModel]] = {
    "vyos_iso": upstream.IsoOptions,
    "qcow2_record": records.RebuildOptions,
    "published_contract": published_contract.Registration,
    **{cloud.spec.asset: cloud.spec.options for cloud in CLOUDS},
    "forget": Forgetting,
}
"""What may be asked of which op in a run's configuration."""

CHECKS = [
    feed.feed_is_sound,
    gates.disk_inspection,
    gates.boots,
    gates.variants_decode_to_one_disk,
    published.anonymous_read_back,
    *lineage.CHECKS.values(),
    *standing.CHECKS,
    *drift.CHECKS,
]


def build_definitions(
    root: RuntimeRoot, settings: Settings, *, overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Return the code location of one environment.

    Args:
        root: the environment's runtime root; resources read its `pipeline.yml` when a run starts.
        settings: what decides the shape of the location itself: how often sensors tick. A changed setting of this
            kind takes effect when the location is reloaded; which sites seed by themselves is read at every tick.
        overrides: resources by name, in place of the real ones.
    """
    return dg.Definitions(
        assets=[
            _announced(upstream.vyos_release, settings.feed),
            *ASSETS,
            *(SEEDS[cloud.name] for cloud in CLOUDS),
        ],
        asset_checks=CHECKS,
        jobs=jobs.JOBS,
        sensors=[
            vyos_rolling_release(settings.feed),
            run_failures(),
            recipe_changes(settings),
            seed_automation(),
            killed_runs(),
        ],
        schedules=[
            upkeep.leftover_resources(settings.upkeep),
            upkeep.drift(settings.upkeep),
            upkeep.missing_seeds(),
        ],
        resources={
            "environment": environment(root),
            "asked": asked(OP_OPTIONS),
            "settings": settings_resource(),
            "store": artifact_store(),
            "documents": documents(),
            # In place of Dagster's own, which nothing here uses and whose directory is a config field.
            "io_manager": documents(),
            "feed": release_feed(),
            "repository": repository_resource(),
            "states": state_store(),
            **site_resources(),
            "boot_gate": host_boot_gate(),
            "notifier": notifier(),
            **(overrides or {}),
        },
        # Steps follow one another and each is minutes of work: a process per step would only add its start-up.
        # Without config fields: a run goes on after no failed step, whatever its configuration says.
        executor=dg.in_process_executor.configured(lambda _: {}, config_schema={}),
    )


def _announced(release: dg.AssetSpec, settings: FeedSettings) -> dg.AssetSpec:
    """Return the releases, which fail where the sensor polls and no new one came for days: a dead feed is silent."""
    if settings.sensor == "stopped":
        return release
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=settings.stale_after_days))
    return release.replace_attributes(freshness_policy=policy)


@bordered
def _of_this_environment() -> dg.Definitions:
    # Dagster's own processes hold the environment's secrets too, and commands of the operator run below them.
    close_to_others()
    root = runtime_root(os.environ, home=Path.home())
    return build_definitions(root, load_settings(root))


defs = _of_this_environment()
