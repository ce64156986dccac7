"""The standing checks: what was never seeded is found, and why, whatever automation remembers of it."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.seeds import owed
from tests.assets.daemon import FIRST, SECOND, SETTINGS, Daemon, daemon_in, hetzner_site, with_hetzner
from tests.clouds import HETZNER, PROXMOX

Rows = set[tuple[object, object, object]]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as daemon:
        daemon.publish()
        yield daemon


def rows(evaluation: dg.AssetCheckEvaluation) -> Rows:
    """Site, version and standing of each cell that the check names."""
    table = evaluation.metadata["missing"]
    assert isinstance(table, dg.TableMetadataValue)
    return {(row.data["site"], row.data["version"], row.data["standing"]) for row in table.records}


def why(evaluation: dg.AssetCheckEvaluation, site: str) -> str:
    table = evaluation.metadata["missing"]
    assert isinstance(table, dg.TableMetadataValue)
    (found,) = [str(row.data["why"]) for row in table.records if row.data["site"] == site]
    return found


def test_sites_that_all_hold_the_current_record_pass(daemon: Daemon) -> None:
    for site in ("auto", "by-hand"):
        daemon.seed(HETZNER, site)
    found = daemon.look(HETZNER)
    assert found.passed
    assert rows(found) == set()
    assert found.description == f"{FIRST}: nothing is missing"


def test_a_freshly_published_record_is_due_and_by_hand_where_the_site_is(daemon: Daemon) -> None:
    found = daemon.look(HETZNER)
    assert found.passed
    assert rows(found) == {("auto", FIRST, "due"), ("by-hand", FIRST, "by hand")}


def test_a_record_that_nobody_asked_for_in_time_is_an_alarm(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "REQUEST_SECONDS", -1.0)
    found = daemon.look(PROXMOX)
    assert not found.passed
    assert ("auto", FIRST, "lost") in rows(found)
    assert "see that the daemon and seed_automation run" in why(found, "auto")


@pytest.mark.seconds
def test_a_failed_seed_is_an_alarm_that_names_its_run(daemon: Daemon) -> None:
    daemon.run_a_seed_that_fails()
    (run,) = daemon.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    found = daemon.look(HETZNER)
    assert not found.passed
    assert f"run {run.run_id} failed" in why(found, "auto")


def test_a_seed_of_another_record_under_this_version_is_missing(daemon: Daemon) -> None:
    daemon.seed(HETZNER, "auto", says="0" * 64)
    daemon.seed(HETZNER, "by-hand")
    assert rows(daemon.look(HETZNER)) == {("auto", FIRST, "due")}


@pytest.mark.seconds
def test_what_is_at_work_or_was_ended_by_a_person_is_said_so(daemon: Daemon) -> None:
    run = daemon.start(HETZNER, "auto")
    assert ("auto", FIRST, "at work") in rows(daemon.look(HETZNER))
    daemon.instance.report_run_canceled(run)
    found = daemon.look(HETZNER)
    assert ("auto", FIRST, "ended") in rows(found)
    assert found.passed


@pytest.mark.seconds
def test_the_rest_of_a_fleet_waits_for_its_canary_and_a_failed_canary_is_an_alarm(tmp_path: Path) -> None:
    fleet = with_hetzner(first=hetzner_site("auto", "first", canary=True), rest=hetzner_site("auto", "rest"))
    with daemon_in(tmp_path, fleet) as daemon:
        daemon.publish()
        found = daemon.look(HETZNER)
        assert rows(found) == {("first", FIRST, "due"), ("rest", FIRST, "waits")}
        assert why(found, "rest") == "waits for canary first: not seeded yet"
        daemon.fail_a_seed(site="first")
        found = daemon.look(HETZNER)
        assert not found.passed
        assert rows(found) == {("first", FIRST, "failed"), ("rest", FIRST, "held back")}


def test_a_cell_that_waits_for_the_daily_cap_says_until_when(tmp_path: Path) -> None:
    with daemon_in(tmp_path, with_hetzner(a=hetzner_site("auto", "a", paid_seeds_a_day=1))) as daemon:
        daemon.publish(FIRST)
        daemon.seed(HETZNER, "a", FIRST)
        daemon.publish(SECOND)
        found = daemon.look(HETZNER)
        assert found.passed
        assert rows(found) == {("a", SECOND, "waits")}
        assert why(found, "a").startswith("daily cap: 1 of 1 paid images were created at a in 24 hours; goes on at ")


def test_a_record_whose_check_did_not_pass_is_waited_for(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        daemon.publish(check=False)
        assert why(daemon.look(PROXMOX), "auto") == "the blocking checks of its contract have not passed"


def test_a_record_that_was_passed_over_is_listed_without_alarm_and_history_is_not(daemon: Daemon) -> None:
    third = "2026.03.05-0027-rolling"
    daemon.publish(SECOND)
    daemon.seed(PROXMOX, "auto", SECOND)
    for version in (third, "2026.03.06-0027-rolling"):
        daemon.publish(version)
    daemon.seed(PROXMOX, "auto", "2026.03.06-0027-rolling")
    found = daemon.look(PROXMOX)
    assert found.passed
    assert ("auto", third, "superseded") in rows(found)
    assert {version for site, version, _ in rows(found) if site == "auto"} == {third}


def test_without_any_record_there_is_nothing_to_miss(tmp_path: Path) -> None:
    with daemon_in(tmp_path, SETTINGS) as daemon:
        found = daemon.look(HETZNER)
        assert found.passed
        assert found.description == "no record is named: nothing is missing"
