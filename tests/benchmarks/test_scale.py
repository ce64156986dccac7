"""The seeds' sensor over grown grids: what a tick costs follows from what is due, hardly from the history."""

from pathlib import Path

import pytest

from benchmarks.grids import fleet_settings, make_grids, versions_of
from benchmarks.scale import Ticking
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.seeds.owed import MOST_READ
from tests.work import calls_of

SITES = 2


def work_of(root: RuntimeRoot, versions: int) -> int:
    """Return how many calls a tick makes once the history was read."""
    settings = fleet_settings(SITES)
    with make_grids(root, settings, versions_of(versions)) as instance:
        daemon = Ticking(root, settings, instance)
        for _ in range(-(-versions * SITES // MOST_READ)):
            daemon.tick()
        return calls_of(daemon.tick)


@pytest.mark.seconds
def test_of_ten_times_the_history_each_further_cell_costs_a_tick_little(tmp_path: Path) -> None:
    small, large = work_of(RuntimeRoot(tmp_path / "small"), 20), work_of(RuntimeRoot(tmp_path / "large"), 200)
    # Its row of the index, and a look at what is known of it; an event that is read makes thousands of calls.
    assert large - small < 100 * 180 * SITES * 2


def test_a_grid_is_what_it_says(tmp_path: Path) -> None:
    root, settings = RuntimeRoot(tmp_path / "root"), fleet_settings(2)
    with make_grids(root, settings, versions_of(5)) as instance:
        # It raises where other seeds are requested than the newest version's.
        Ticking(root, settings, instance).tick()


def test_versions_are_distinct_and_in_order() -> None:
    made = versions_of(2000)
    assert len(set(made)) == 2000
    assert made == sorted(made)


@pytest.mark.long
def test_two_thousand_versions_at_twenty_sites_lead_to_the_seeds_of_the_newest_version(tmp_path: Path) -> None:
    root, settings = RuntimeRoot(tmp_path / "root"), fleet_settings(20)
    with make_grids(root, settings, versions_of(2000)) as instance:
        daemon = Ticking(root, settings, instance)
        daemon.tick()
        assert daemon.requested == 21
