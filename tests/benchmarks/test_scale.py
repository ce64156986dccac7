"""Automation over grown grids: what it costs follows from what is due, not from the history."""

import time
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.grids import fleet_settings, make_grids, versions_of
from benchmarks.scale import SEEDS, evaluations, sensor_tick
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions

SITES = 4


def processor_seconds(root: RuntimeRoot, instance: dg.DagsterInstance) -> float:
    """Processor time of an evaluation that has one before it, the least of three: others on this machine only add."""
    definitions = build_definitions(root, fleet_settings(SITES))
    cursor = None
    spent: list[float] = []
    for _ in range(4):
        begun = time.process_time()
        cursor = dg.evaluate_automation_conditions(definitions, instance, asset_selection=SEEDS, cursor=cursor).cursor
        spent.append(time.process_time() - begun)
    return min(spent[1:])


def test_ten_times_the_history_costs_at_most_ten_times_as_much(tmp_path: Path) -> None:
    small, large = (RuntimeRoot(tmp_path / name) for name in ("small", "large"))
    with make_grids(small, fleet_settings(SITES), versions_of(100)) as instance:
        of_small = processor_seconds(small, instance)
    with make_grids(large, fleet_settings(SITES), versions_of(1000)) as instance:
        of_large = processor_seconds(large, instance)
    assert of_large < 10 * of_small


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


@pytest.mark.slow
@pytest.mark.alone
def test_two_thousand_versions_at_twenty_sites_are_evaluated_twice_in_ten_seconds(
    tmp_path: Path,
) -> None:
    root, settings = RuntimeRoot(tmp_path / "root"), fleet_settings(20)
    with make_grids(root, settings, versions_of(2000)) as instance:
        begun = time.process_time()
        evaluations(root, settings, instance)
        assert time.process_time() - begun < 10
