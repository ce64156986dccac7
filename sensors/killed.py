"""Killed runs: notices that a run's process is gone, so that it holds no site's slot and is asked for again."""

import dagster as dg

from hyops_assets.assets.run_liveness import fail_killed_runs
from resources.error_border import bordered

INTERVAL_SECONDS = 30


def killed_runs() -> dg.SensorDefinition:
    """Return the sensor that marks runs failed whose process was killed, on this host."""

    @dg.sensor(
        name="killed_runs",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs failed whose process is gone: Dagster itself does not look.",
    )
    @bordered
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        failed = fail_killed_runs(context.instance)
        return dg.SkipReason(f"marked failed: {', '.join(failed)}" if failed else "every unfinished run is at work")

    return sensor
