"""Waves over many sites: canaries first, the rest when they held, and what is told of whoever waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.seed_policy import Canary, wave_holds
from hyops_assets.settings.seeding import SeedingSettings
from tests.assets.daemon import FIRST, SECOND, Asked, Daemon, daemon_in, hetzner_site, with_hetzner
from tests.clouds import HETZNER, hetzner_seed

FLEET = with_hetzner(
    first=hetzner_site("auto", "first", canary=True),
    second=hetzner_site("auto", "second", canary=True),
    rest=hetzner_site("auto", "rest"),
).model_copy(update={"seeding": SeedingSettings(rest_after_minutes=30)})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path, FLEET) as daemon:
        assert daemon.tick() == {}
        daemon.publish()
        yield daemon


def at(*sites: str, version: str = FIRST) -> Asked:
    return {"hetzner_image": {hetzner_seed(site, version) for site in sites}}


def test_the_rest_follows_after_the_pause_once_every_canary_held(daemon: Daemon) -> None:
    assert daemon.tick() == at("first", "second")
    daemon.seed(HETZNER, "first")
    assert daemon.tick() == {}
    daemon.seed(HETZNER, "second")
    assert daemon.tick() == {}
    daemon.wait(minutes=29)
    assert daemon.tick() == {}
    daemon.wait(minutes=2)
    assert daemon.tick() == at("rest")
    daemon.start(HETZNER, "rest")
    assert daemon.tick() == {}


def test_a_failed_canary_holds_the_rest_back_until_it_is_seeded(daemon: Daemon) -> None:
    daemon.tick()
    daemon.seed(HETZNER, "first")
    daemon.fail_a_seed(site="second")
    assert daemon.tick() == at("second")
    daemon.fail_a_seed(site="second")
    daemon.wait(days=7)
    assert daemon.tick() == {}
    daemon.seed(HETZNER, "second")
    assert daemon.tick() == at("rest")


def test_a_canary_whose_lineage_check_fails_holds_the_rest_back(daemon: Daemon) -> None:
    daemon.tick()
    daemon.seed(HETZNER, "first")
    daemon.seed(HETZNER, "second", lineage=False)
    daemon.wait(days=1)
    assert daemon.tick() == {}


def test_the_rest_waits_for_the_canarys_lineage_check_to_look_at_this_very_seed(daemon: Daemon) -> None:
    daemon.tick()
    daemon.seed(HETZNER, "first")
    daemon.seed(HETZNER, "second")
    daemon.seed(HETZNER, "second", lineage=None)
    daemon.wait(days=1)
    assert daemon.tick() == {}


def test_a_canary_that_held_one_version_says_nothing_of_the_next(daemon: Daemon) -> None:
    daemon.tick()
    for site in ("first", "second"):
        daemon.seed(HETZNER, site)
    daemon.wait(hours=1)
    daemon.publish(SECOND)
    asked = daemon.tick()
    assert asked["hetzner_image"] == {
        hetzner_seed("rest", FIRST),
        hetzner_seed("first", SECOND),
        hetzner_seed("second", SECOND),
    }


def test_what_waits_is_requested_later_although_the_daemon_forgot_everything_meanwhile(daemon: Daemon) -> None:
    daemon.tick()
    for site in ("first", "second"):
        daemon.seed(HETZNER, site)
    daemon.forget()
    assert daemon.tick() == {}
    daemon.wait(hours=1)
    assert daemon.tick() == at("rest")


def test_a_canary_that_is_seeded_by_hand_leads_all_the_same(tmp_path: Path) -> None:
    fleet = with_hetzner(
        first=hetzner_site("manual", "first", canary=True), rest=hetzner_site("auto", "rest")
    ).model_copy(update={"seeding": SeedingSettings(rest_after_minutes=0)})
    with daemon_in(tmp_path, fleet) as daemon:
        daemon.publish()
        assert daemon.tick() == {}
        daemon.seed(HETZNER, "first")
        assert daemon.tick() == at("rest")


def test_the_tick_shows_of_each_waiting_cell_why_it_waits(daemon: Daemon) -> None:
    assert daemon.tick() == at("first", "second")
    said = str(daemon.evaluate().skip_reason)
    assert "2 requested, 1 waits" in said
    assert f"rest: {FIRST}: waits for canary first, second: not seeded yet" in said


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("canaries", "why"),
    [
        ([], ""),
        ([Canary("a", seeded_at=NOW - 61, held=True)], ""),
        ([Canary("a", seeded_at=NOW - 59, held=True)], "waits until 2027-01-15 08:01 UTC: the canaries hold"),
        ([Canary("a", seeded_at=NOW - 61)], "waits for canary a: its lineage check did not run yet"),
        ([Canary("a", seeded_at=NOW - 61, held=True), Canary("b")], "waits for canary b: not seeded yet"),
        ([Canary("a"), Canary("b", failed_run="7")], "held back: canary b failed (run 7)"),
        (
            [Canary("a", seeded_at=NOW - 61, held=False)],
            "held back: canary a was seeded and its lineage check failed",
        ),
    ],
)
def test_why_the_rest_waits_is_said_in_one_sentence(canaries: list[Canary], why: str) -> None:
    assert wave_holds(canaries, pause_seconds=60, now=NOW) == why
