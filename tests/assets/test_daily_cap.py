"""The daily cap of paid seeds: counted from what was created, held by automation and where the money is spent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.seed_policy import DAY_SECONDS, Caps, DailyCapReached, Paid, cap_holds, require_affordable
from hyops_assets.settings.seeding import SeedingSettings
from tests.assets.daemon import FIRST, SECOND, Daemon, daemon_in, hetzner_site, with_hetzner
from tests.clouds import HETZNER, hetzner_seed

THIRD = "2026.03.05-0027-rolling"
ONE_A_DAY = with_hetzner(
    a=hetzner_site("auto", "a", paid_seeds_a_day=1), b=hetzner_site("auto", "b", paid_seeds_a_day=5)
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path, ONE_A_DAY) as daemon:
        assert daemon.tick() == {}
        yield daemon


def asked(daemon: Daemon) -> set[str | None]:
    return daemon.tick().get("hetzner_image", set())


def test_a_site_that_created_as_many_as_it_may_waits_for_a_day_and_no_other_site_does(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    assert asked(daemon) == {hetzner_seed("a", FIRST), hetzner_seed("b", FIRST)}
    daemon.seed(HETZNER, "a", FIRST)
    daemon.seed(HETZNER, "b", FIRST)
    daemon.publish(SECOND)
    assert asked(daemon) == {hetzner_seed("b", SECOND)}
    daemon.seed(HETZNER, "b", SECOND)
    daemon.wait(hours=23)
    assert asked(daemon) == set()
    daemon.wait(hours=2)
    assert asked(daemon) == {hetzner_seed("a", SECOND)}


def test_an_adopted_image_cost_nothing_and_is_not_counted(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    asked(daemon)
    daemon.seed(HETZNER, "a", FIRST, outcome="adopted")
    daemon.seed(HETZNER, "b", FIRST)
    daemon.publish(SECOND)
    assert asked(daemon) == {hetzner_seed("a", SECOND), hetzner_seed("b", SECOND)}


def test_of_more_than_may_be_created_the_newest_record_comes_first(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND)
    assert asked(daemon) == {hetzner_seed("a", SECOND), hetzner_seed("b", FIRST), hetzner_seed("b", SECOND)}


def test_what_is_at_work_counts_as_created(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.start(HETZNER, "a", FIRST)
    daemon.publish(SECOND)
    assert asked(daemon) == {hetzner_seed("b", FIRST), hetzner_seed("b", SECOND)}


def test_the_cap_of_all_sites_holds_over_them_together(tmp_path: Path) -> None:
    settings = ONE_A_DAY.model_copy(update={"seeding": SeedingSettings(paid_seeds_a_day=1)})
    with daemon_in(tmp_path, settings) as daemon:
        daemon.publish(FIRST)
        assert asked(daemon) == {hetzner_seed("a", FIRST)}
        daemon.seed(HETZNER, "a", FIRST)
        assert asked(daemon) == set()
        daemon.wait(hours=25)
        assert asked(daemon) == {hetzner_seed("b", FIRST)}


NOW = 1_800_000_000.0
CAPS = Caps({"a": 2, "b": 2, "off": 0}, overall=3)


def paid(*at: tuple[str, float]) -> list[Paid]:
    return [Paid(site, NOW - hours * 3600) for site, hours in at]


def test_a_site_below_its_cap_may_create() -> None:
    assert cap_holds(paid(("a", 1)), "a", CAPS, now=NOW) == ""
    assert cap_holds(paid(("a", 1), ("a", 25)), "a", CAPS, now=NOW) == ""


def test_a_refusal_names_when_it_may_go_on() -> None:
    with pytest.raises(DailyCapReached) as refused:
        require_affordable(paid(("a", 23), ("a", 1)), "a", CAPS, now=NOW)
    # 23 hours ago was 09:00 the day before: the oldest of the two leaves the window an hour from now.
    assert "2 of 2 paid images were created at a in 24 hours; goes on at 2027-01-15 09:00 UTC" in str(refused.value)
    assert "--over-daily-cap" in refused.value.hint


def test_with_both_caps_reached_the_later_time_counts() -> None:
    why = cap_holds(paid(("a", 23), ("a", 22), ("b", 1)), "a", Caps({"a": 2}, overall=1), now=NOW)
    said = (
        "daily cap: 3 of 1 paid images were created at all sites together in 24 hours; goes on at 2027-01-16 07:00 UTC"
    )
    assert why == said


def test_a_cap_of_nothing_is_a_switch() -> None:
    assert cap_holds([], "off", CAPS, now=NOW).endswith("in 24 hours; goes on once the cap is raised")


def test_a_window_is_a_day_and_not_a_calendar_day() -> None:
    just_inside, just_outside = ([Paid("a", NOW - DAY_SECONDS + one)] * 2 for one in (1, 0))
    assert cap_holds(just_inside, "a", CAPS, now=NOW)
    assert not cap_holds(just_outside, "a", CAPS, now=NOW)
