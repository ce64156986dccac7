"""Named selections of the graph.

The build runs upstream → contract in one run, so that a failed gate keeps everything after it from happening. Seeds
have other partitions and run on their own, one site at a time.
"""

import dagster as dg

from hyops_assets.assets import published_contract, records, upstream
from hyops_assets.assets.forget_partition import forget_partition
from hyops_assets.assets.leftovers import leftover_resources
from hyops_assets.assets.seeding import SEEDS
from hyops_assets.checks import drift, feed, lineage, standing
from hyops_assets.seeds.partitions import CLOUDS

BUILD_TAG = "hyops/build"

build_record = dg.define_asset_job(
    "build_record",
    selection=dg.AssetSelection.groups(upstream.GROUP, records.GROUP, published_contract.GROUP)
    # One release is built whatever the feed says of others, and whatever became of them.
    - dg.AssetSelection.checks(feed.KEY)
    - dg.AssetSelection.checks(drift.objects_stand),
    description="Take in one release, build its record, pass every gate, publish the contract.",
    # What the instance's limit counts: two cores boot one disk at a time.
    tags={BUILD_TAG: "record"},
)
adopt_record = dg.define_asset_job(
    "adopt_record",
    selection=dg.AssetSelection.groups(records.GROUP, published_contract.GROUP)
    - dg.AssetSelection.checks(drift.objects_stand),
    description="Take over a disk that was built elsewhere, pass every gate, publish the contract.",
    tags={BUILD_TAG: "record"},
)
register_record = dg.define_asset_job(
    "register_record",
    selection=dg.AssetSelection.assets(published_contract.published_contract)
    - dg.AssetSelection.checks(drift.objects_stand),
    description="Take in a record that others published, under its own URLs; publish nothing.",
)


SEED_JOBS = {
    cloud.name: dg.define_asset_job(
        f"seed_{cloud.spec.asset}",
        # With the check of its own cell: the standing check tells of the whole grid.
        selection=dg.AssetSelection.assets(SEEDS[cloud.name]).without_checks()
        | dg.AssetSelection.checks(lineage.CHECKS[cloud.name]),
        description=f"Bring one published record to one {cloud.name.title()} site.",
    )
    for cloud in CLOUDS
}
"""The jobs of seeds, by the name of their cloud."""
reap_leftovers = dg.define_asset_job(
    "reap_leftovers",
    selection=dg.AssetSelection.assets(leftover_resources),
    description="Remove from every site what dead runs left there.",
)

look_for_missing_seeds = dg.define_asset_job(
    "look_for_missing_seeds",
    selection=dg.AssetSelection.checks(*standing.CHECKS),
    description="See which sites lack a record that they should have, and why.",
)

look_for_drift = dg.define_asset_job(
    "look_for_drift",
    selection=dg.AssetSelection.checks(*drift.CHECKS),
    description="See whether what was seeded and published still stands as it was left.",
)

BUILDS = frozenset({build_record.name, adopt_record.name, register_record.name})
"""The jobs that bring a version into being: where one ran for it, it need not be asked for again."""

JOBS = [
    build_record,
    adopt_record,
    register_record,
    *SEED_JOBS.values(),
    look_for_missing_seeds,
    reap_leftovers,
    look_for_drift,
    forget_partition,
]
