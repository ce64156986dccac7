"""What grows with the grids: a tick of the seeds' sensor, loading the definitions."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from benchmarks.comparison import Comparison, seconds
from benchmarks.grids import fleet_settings, make_grids, versions_of
from hyops_assets.cli.instance import environment_of
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.owed import MOST_READ
from hyops_assets.seeds.partitions import CLOUDS
from hyops_assets.settings.pipeline import Settings
from sensors.seeds import Cursor

FIRST_SECONDS = 5.0
TICK_SECONDS = 1.0
LOAD_SECONDS = 6.0
RESOURCES = ("environment", "settings", "states")
"""What the sensor asks for, and what that depends on: the code location's server builds these for a tick."""


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time the sensor over 2,000 versions at 20 sites of each cloud: nearly all seeded, the newest version due."""
    versions, sites = (100, 5) if quick else (2000, 20)
    root, settings = RuntimeRoot(scratch / "root"), fleet_settings(sites)
    grid = f"{versions} versions x {sites} sites of each cloud"
    with make_grids(root, settings, versions_of(versions)) as instance:
        daemon = Ticking(root, settings, instance)
        first = seconds(daemon.tick)
        requested = daemon.requested
        # A process that just started reads the history of 80,000 cells, so much of it at each tick.
        reading = max(seconds(daemon.tick) for _ in range(-(-versions * sites // MOST_READ)))
        later = seconds(daemon.tick)
    said = f"{requested} seeds requested"
    yield Comparison(f"first tick of seed_automation, {grid}", "bound", first, FIRST_SECONDS, 1, included=said)
    yield Comparison(
        f"tick of seed_automation that reads history, {grid}",
        "bound",
        reading,
        TICK_SECONDS,
        1,
        included="the slowest",
    )
    yield Comparison(f"later tick of seed_automation, {grid}", "bound", later, TICK_SECONDS, 1)
    load = seconds(lambda: _load(root))
    yield Comparison("definitions in a new process", "bound", load, LOAD_SECONDS, 1, included="import of Dagster")


class Ticking:
    """The sensor of a code location that just started, over sites that seed by themselves since before all history."""

    def __init__(self, root: RuntimeRoot, settings: Settings, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._definitions = build_definitions(root, settings)
        self._sensor = self._definitions.resolve_sensor_def("seed_automation")
        since = {cloud.name: dict.fromkeys(cloud.sites(settings), 0) for cloud in CLOUDS}
        self._cursor: str | None = Cursor(since=since).model_dump_json()
        self._expected = len(settings.sites.proxmox) + 1
        """Every Proxmox site, and of the Hetzner sites the canary."""
        self.requested = 0

    def tick(self) -> None:
        """Tick once as the code location does for the daemon, which notes what was requested.

        Raises:
            AssertionError: other seeds were requested than those of the newest version, or some twice.
        """
        with dg.build_sensor_context(
            instance=self._instance,
            instance_ref=self._instance.get_ref(),
            definitions=self._definitions,
            resources={name: (self._definitions.resources or {})[name] for name in RESOURCES},
            cursor=self._cursor,
        ) as context:
            result = self._sensor.evaluate_tick(context)
        for event in result.asset_events:
            self._instance.report_runless_asset_event(event)
        self._cursor = result.cursor
        self.requested = len(result.run_requests or [])
        if self.requested != self._expected:
            raise AssertionError(self.requested, result.skip_message)
        self._expected = 0


def _load(root: RuntimeRoot) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import hyops_assets.definitions"],
        env=os.environ | environment_of(root),
        check=True,
    )
