"""What grows with the grids: an evaluation of the seeds' automation, a tick of its sensor, loading the definitions."""

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
from hyops_assets.partitions import CLOUDS
from hyops_assets.settings.pipeline import Settings

EVALUATION_SECONDS = 5.0
LOAD_SECONDS = 6.0
SEEDS = dg.AssetSelection.groups("seeds").without_checks()


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time automation over 2,000 versions at 20 sites of each cloud: nearly all seeded, the newest version due."""
    versions, sites = (100, 5) if quick else (2000, 20)
    root, settings = RuntimeRoot(scratch / "root"), fleet_settings(sites)
    grid = f"{versions} versions x {sites} sites of each cloud"
    with make_grids(root, settings, versions_of(versions)) as instance:
        first, later, requested = evaluations(root, settings, instance)
        yield Comparison(
            f"first evaluation, {grid}", "bound", first, EVALUATION_SECONDS, 1, included=f"{requested} seeds requested"
        )
        yield Comparison(f"later evaluation, {grid}", "bound", later, EVALUATION_SECONDS, 1)
        tick = seconds(lambda: sensor_tick(root, settings, instance))
        yield Comparison(
            f"tick of seed_automation, {grid}", "bound", tick, EVALUATION_SECONDS, 1, included="with its run requests"
        )
    load = seconds(lambda: _load(root))
    yield Comparison("definitions in a new process", "bound", load, LOAD_SECONDS, 1, included="import of Dagster")


def evaluations(root: RuntimeRoot, settings: Settings, instance: dg.DagsterInstance) -> tuple[float, float, int]:
    """Return the seconds of a first and of a later evaluation, and how many seeds were requested.

    Raises:
        AssertionError: other seeds were requested than those of the newest version, or some twice.
    """
    definitions = build_definitions(root, settings)
    found: list[dg.EvaluateAutomationConditionsResult] = []

    def evaluate() -> None:
        cursor = found[-1].cursor if found else None
        found.append(dg.evaluate_automation_conditions(definitions, instance, asset_selection=SEEDS, cursor=cursor))

    first, later = seconds(evaluate), seconds(evaluate)
    requested = [sum(result.get_num_requested(cloud.asset) for cloud in CLOUDS) for result in found]
    # Every Proxmox site, and of the Hetzner sites the canary.
    if requested != [len(settings.sites.proxmox) + 1, 0]:
        raise AssertionError(requested)
    return first, later, requested[0]


def sensor_tick(root: RuntimeRoot, settings: Settings, instance: dg.DagsterInstance) -> None:
    """Run one tick of the sensor as the code location does for the daemon.

    Raises:
        AssertionError: it requested no run.
    """
    repository = build_definitions(root, settings).get_repository_def()
    sensor = repository.get_sensor_def("seed_automation")
    with dg.build_sensor_context(instance=instance, repository_def=repository, instance_ref=instance.get_ref()) as at:
        result = sensor.evaluate_tick(at)
    if not result.run_requests:
        raise AssertionError(result.skip_message)


def _load(root: RuntimeRoot) -> None:
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import hyops_assets.definitions"],
        env=os.environ | environment_of(root),
        check=True,
    )
