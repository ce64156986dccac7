"""Standing checks: which sites lack a record that they should have.

A seed that was never asked for fails nowhere else. The checks have no partition: one result tells of the whole grid.
A schedule has them run once an hour (`sensors/upkeep.py`); a seed's own run leaves them out.
"""

import time

import dagster as dg

from hyops_assets.seeds.history import SeedLog
from hyops_assets.seeds.owed import in_words, owed_seeds
from hyops_assets.seeds.partitions import CLOUDS, Cloud
from hyops_assets.settings.pipeline import Settings
from resources.error_border import bordered
from resources.states.current_record import current_version
from resources.states.store import StateStore

NAME = "every_site_is_seeded"
_MOST_ROWS = 200


def _standing_check(cloud: Cloud) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=cloud.asset,
        name=NAME,
        config_schema={},
        description=f"Every {cloud.name} site holds the record that the build slot names; who does not, and why.",
    )
    @bordered
    def every_site_is_seeded(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        states: dg.ResourceParam[StateStore],
    ) -> dg.AssetCheckResult:
        named = current_version(states)
        log = SeedLog(context.instance, cloud)
        missing = owed_seeds(cloud, settings, log, named=named, now=time.time())
        rows = [
            dg.TableRecord({"site": one.site, "version": one.version, "standing": one.standing, "why": one.why})
            for one in missing[:_MOST_ROWS]
        ]
        return dg.AssetCheckResult(
            passed=not any(one.alarms for one in missing),
            description=f"{named or 'no record is named'}: {in_words(missing)}",
            metadata={
                "missing": dg.MetadataValue.table(rows, schema=_SCHEMA),
                "cells": len(missing),
                "not shown": max(0, len(missing) - _MOST_ROWS),
            },
        )

    return every_site_is_seeded


_SCHEMA = dg.TableSchema([dg.TableColumn(name) for name in ("site", "version", "standing", "why")])

CHECKS = [_standing_check(cloud) for cloud in CLOUDS]
