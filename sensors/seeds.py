"""Seeds by themselves: evaluates the seeds' automation conditions and nothing else."""

import dagster as dg

INTERVAL_SECONDS = 4
"""Dagster's daemon looks every 5 s, give or take: at 5, each second look came a moment too early (10 s were seen).

Over 82,000 cells an evaluation takes half a second of a core.
"""


def seed_automation() -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that requests the seeds that are due. It runs unless it is stopped in the UI.

    Sites with `seed: manual` are not touched: their cells are materialized by hand.
    """
    return dg.AutomationConditionSensorDefinition(
        "seed_automation",
        target=dg.AssetSelection.groups("seeds"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=INTERVAL_SECONDS,
        # The condition holds an operand of our own, which the daemon cannot evaluate outside our code.
        use_user_code_server=True,
        description="Requests the seeds of contracts whose blocking checks passed, at sites that seed by themselves.",
    )
