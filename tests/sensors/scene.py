"""What Dagster's daemon does with the release sensor, step by step, on a real instance: also killed between two."""

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from resources.feed.client import ReleaseFeed
from resources.settings import save_settings
from sensors.releases import vyos_rolling_release

SENSOR = "vyos_rolling_release"


class Killed(Exception):
    """The daemon died in the middle of a tick."""


class Daemon:
    """Evaluates the sensor and applies its result in the daemon's order (`dagster._daemon.sensor`).

    Args:
        directory: for the runtime root.
        instance: where partitions, events and runs go.
        settings: of the feed.
        clock: the sensor's; None takes the one that the code location has.
    """

    def __init__(
        self,
        directory: Path,
        instance: dg.DagsterInstance,
        settings: FeedSettings,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.instance = instance
        self.settings = settings
        root = RuntimeRoot(directory / "root")
        whole = Settings(feed=settings)
        save_settings(root, whole, heading="test")
        self.definitions = build_definitions(root, whole)
        self._sensor = (
            self.definitions.resolve_sensor_def(SENSOR)
            if clock is None
            else vyos_rolling_release(settings, clock=clock)
        )
        self.build = self.definitions.resolve_job_def("build_record")
        self.cursor: str | None = None
        self.result: dg.SensorResult | None = None
        """Of the last tick, also of one that was killed."""

    def tick(self, *, killed_after: str = "") -> dg.SensorResult:
        """Evaluate once. A tick that raises is red and changes nothing here; one that is killed stops on its way.

        Args:
            killed_after: `events`, `partitions` or `runs`; empty lets it end.
        """
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={"feed": ReleaseFeed(self.settings)},
        )
        result = self._sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.result = result
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self._stop_at("events", killed_after)
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self._stop_at("partitions", killed_after)
        for request in result.run_requests or []:
            self._submit(request)
        self._stop_at("runs", killed_after)
        self.cursor = result.cursor
        return result

    def runs(self) -> list[dg.DagsterRun]:
        """Every run of the build job, oldest first."""
        return list(reversed(list(self.instance.get_runs(dg.RunsFilter(job_name="build_record")))))

    def built(self) -> list[str]:
        """The versions that runs were made for, in their order."""
        return [run.tags["dagster/partition"] for run in self.runs()]

    def finish(self, run: dg.DagsterRun) -> None:
        """End a run; how, makes no difference to the sensor."""
        self.instance.report_run_failed(run)

    def launch(self, version: str) -> None:
        """Build a version by hand, as a shell does."""
        self.instance.add_dynamic_partitions("vyos_record_version", [version])
        self._create(version, {})

    def _submit(self, request: dg.RunRequest) -> None:
        key = {"dagster/run_key": str(request.run_key), "dagster/sensor_name": SENSOR}
        if not self.instance.get_runs(dg.RunsFilter(tags=key)):
            self._create(str(request.partition_key), key)

    def _create(self, version: str, tags: dict[str, str]) -> None:
        run = self._new_run({"dagster/partition": version, **tags})
        self.instance.report_engine_event("submitted", run)

    def _new_run(self, tags: dict[str, str]) -> dg.DagsterRun:
        """Add a run's row, without the forty events of what its steps plan to make: the sensor reads runs only."""
        return self.instance.add_run(
            dg.DagsterRun(job_name=self.build.name, status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
        )

    def _stop_at(self, step: str, killed_after: str) -> None:
        if step == killed_after:
            raise Killed(step)


def requested(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def announced(result: dg.SensorResult) -> Collection[str | None]:
    return [event.partition for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
