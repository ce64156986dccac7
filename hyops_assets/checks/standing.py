"""Standing checks: which sites lack a record that they should have.

A seed that was never asked for fails nowhere else. The checks have no partition: one result tells of the whole grid.
Their own condition has them run once an hour; runs that the daemon starts for a seed leave them out.
"""

import time

import dagster as dg

from hyops_assets.partitions import CLOUDS, Cloud
from hyops_assets.seed_log import SeedLog
from hyops_assets.settings.pipeline import Settings
from hyops_assets.waiting import in_words, missing_seeds
from resources.border import bordered
from resources.states.current_record import current_version
from resources.states.store import StateStore

NAME = "every_site_is_seeded"
EVERY_HOUR = "7 * * * *"
_MOST_ROWS = 200


def _standing_check(cloud: Cloud) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=cloud.asset,
        name=NAME,
        config_schema={},
        automation_condition=dg.AutomationCondition.cron_tick_passed(EVERY_HOUR)
        & ~dg.AutomationCondition.in_progress(),
        description=f"Every {cloud.name} site holds the record that the build slot names; who does not, and why.",
    )
    @bordered
    def every_site_is_seeded(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        states: dg.ResourceParam[StateStore],
    ) -> dg.AssetCheckResult:
        named = current_version(states)
        missing = missing_seeds(cloud, settings, SeedLog(context.instance, cloud), named, now=time.time())
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
