"""Automation over grown grids: what it costs follows from what is due, not from the history."""

from pathlib import Path

import dagster as dg
import pytest

from benchmarks.grids import fleet_settings, make_grids, versions_of
from benchmarks.scale import SEEDS, evaluations, sensor_tick
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from tests.work import calls_of

SITES = 2


def work_of(root: RuntimeRoot, instance: dg.DagsterInstance) -> int:
    """Return how many calls an evaluation makes that has one before it."""
    definitions = build_definitions(root, fleet_settings(SITES))
    found: list[dg.EvaluateAutomationConditionsResult] = []

    def evaluate() -> None:
        cursor = found[-1].cursor if found else None
        found.append(dg.evaluate_automation_conditions(definitions, instance, asset_selection=SEEDS, cursor=cursor))

    evaluate()
    return calls_of(evaluate)


def test_ten_times_the_history_is_hardly_more_work(tmp_path: Path) -> None:
    small, large = (RuntimeRoot(tmp_path / name) for name in ("small", "large"))
    with make_grids(small, fleet_settings(SITES), versions_of(20)) as instance:
        of_small = work_of(small, instance)
    with make_grids(large, fleet_settings(SITES), versions_of(200)) as instance:
        of_large = work_of(large, instance)
    assert of_large < 1.2 * of_small


def test_a_grid_is_what_it_says(tmp_path: Path) -> None:
    root, settings = RuntimeRoot(tmp_path / "root"), fleet_settings(2)
    with make_grids(root, settings, versions_of(5)) as instance:
        # It raises where other seeds are requested than the newest version's.
        _, _, requested = evaluations(root, settings, instance)
        sensor_tick(root, settings, instance)
    assert requested == 3


def test_versions_are_distinct_and_in_order() -> None:
    made = versions_of(2000)
    assert len(set(made)) == 2000
    assert made == sorted(made)


@pytest.mark.long
def test_two_thousand_versions_at_twenty_sites_lead_to_the_seeds_of_the_newest_version(tmp_path: Path) -> None:
    root, settings = RuntimeRoot(tmp_path / "root"), fleet_settings(20)
    with make_grids(root, settings, versions_of(2000)) as instance:
        _, _, requested = evaluations(root, settings, instance)
    assert requested == 21
