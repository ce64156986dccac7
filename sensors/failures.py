"""Failed runs: each is logged and reported to the webhook, with the reason and the next step, and without secrets."""

import dagster as dg
from pydantic import JsonValue

from hyops_assets.assets.run_liveness import KILLED, is_by_shell
from resources.error_border import bordered
from resources.notify import Notifier

MAX_REASON = 2000
INTERVAL_SECONDS = 15


def run_failures() -> dg.SensorDefinition:
    """Return the sensor that tells of failed runs, once each. It runs unless it is stopped in the UI."""

    @dg.run_failure_sensor(
        name="run_failures",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=INTERVAL_SECONDS,
        description="Logs each failed run and tells the webhook that `notify.webhook_env` names.",
    )
    @bordered
    def sensor(context: dg.RunFailureSensorContext, notifier: dg.ResourceParam[Notifier]) -> None:
        # A shell that was killed reported nothing.
        if is_by_shell(context.dagster_run) and context.failure_event.message != KILLED:
            context.log.info(
                "run %s was started from a shell: its failure is reported there", context.dagster_run.run_id
            )
            return
        message = message_of(context, notifier)
        sent = notifier.report(message)
        context.log.error(
            "%s of %s failed at %s: %s%s",
            message["job"],
            message["partition"] or "no partition",
            message["step"] or "no step",
            message["reason"],
            "" if sent else " (no webhook is configured)",
        )

    return sensor


def message_of(context: dg.RunFailureSensorContext, notifier: Notifier) -> dict[str, JsonValue]:
    """Return what is reported of a failed run: which, where, and why. Secrets in the reason are blacked out."""
    run = context.dagster_run
    step, reason = None, context.failure_event.message or "the run failed"
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        if error is not None:
            # Dagster wraps what a step raised.
            step, reason = event.step_key, (error.cause or error).message
            break
    return {
        "event": "run failed",
        "job": run.job_name,
        "run_id": run.run_id,
        "partition": run.tags.get("dagster/partition"),
        "step": step,
        "reason": notifier.redacted(reason.strip())[:MAX_REASON],
    }
