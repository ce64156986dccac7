"""When seeds request themselves: the real sensor, and its results applied as Dagster's daemon applies them.

Each way in which a seed is lost, asked for twice or asked for out of history is a test here: what is known of them
stands in docs/decisions/0007, and what is remembered in 0024.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.seeds.partitions import CLOUDS
from hyops_assets.settings.sites import HetznerSite, ProxmoxSite
from tests.assets.daemon import (
    FIRST,
    SECOND,
    SETTINGS,
    Daemon,
    daemon_in,
    digest,
    everywhere,
    hetzner_site,
    with_hetzner,
)
from tests.clouds import HETZNER, PROXMOX, hetzner_seed, proxmox_seed


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as daemon:
        assert daemon.tick() == {}
        yield daemon


def test_a_published_version_is_seeded_once_at_every_site_that_seeds_by_itself_and_nowhere_else(
    daemon: Daemon,
) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    assert daemon.tick() == {}
    daemon.seeded()
    assert daemon.tick() == {}


def test_a_real_cloud_is_seeded_by_hand_unless_its_site_says_otherwise() -> None:
    assert HetznerSite().seed == "manual"
    assert ProxmoxSite.model_fields["seed"].default == "manual"


def test_nothing_is_seeded_before_the_contracts_check_ran(daemon: Daemon) -> None:
    daemon.publish(check=None)
    assert daemon.tick() == {}
    assert daemon.tick() == {}
    daemon.check(passed=True)
    assert daemon.tick() == everywhere()


def test_nothing_is_seeded_whose_check_failed_until_it_passes(daemon: Daemon) -> None:
    daemon.publish(check=False)
    assert daemon.tick() == {}
    daemon.publish(check=True)
    assert daemon.tick() == everywhere()


def test_a_check_that_passed_for_one_version_says_nothing_of_another(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND, check=None)
    assert daemon.tick() == everywhere(FIRST)
    daemon.check(SECOND, passed=True)
    assert daemon.tick() == everywhere(SECOND)


def test_versions_that_are_published_between_two_ticks_are_all_seeded(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND)
    asked = daemon.tick()
    assert asked["hetzner_image"] == {hetzner_seed("auto", FIRST), hetzner_seed("auto", SECOND)}


@pytest.mark.seconds
def test_a_failed_seed_is_asked_for_once_more_and_then_left_to_people(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.seed(PROXMOX, "auto")
    daemon.run_a_seed_that_fails()
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("auto", FIRST)}}
    daemon.run_a_seed_that_fails()
    for _ in range(3):
        assert daemon.tick() == {}
    daemon.wait(days=30)
    assert daemon.tick() == {}


def test_a_seed_that_a_person_ended_is_not_asked_for_again(daemon: Daemon) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    run = daemon.start(HETZNER, "auto")
    assert daemon.tick() == {}
    daemon.instance.report_run_canceled(run)
    assert daemon.tick() == {}
    daemon.wait(days=1)
    assert "hetzner_image" not in daemon.tick()


@pytest.mark.seconds
def test_a_version_that_is_published_again_after_failed_seeds_is_seeded(daemon: Daemon) -> None:
    daemon.publish()
    for _ in range(2):
        daemon.tick()
        daemon.fail_a_seed()
    assert daemon.tick() == {}
    daemon.publish()
    assert daemon.tick()["hetzner_image"] == {hetzner_seed("auto", FIRST)}


def test_a_contract_that_changes_while_its_seed_is_missing_is_seeded(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.fail_a_seed()
    daemon.publish(says=digest("another build"))
    assert daemon.tick()["hetzner_image"] == {hetzner_seed("auto", FIRST)}


@pytest.mark.seconds
def test_a_new_seed_of_a_changed_contract_that_fails_is_asked_for_once_more(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.seeded()
    daemon.publish(says=digest("another build"))
    assert daemon.tick() == everywhere()
    daemon.fail_a_seed()
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("auto", FIRST)}}
    daemon.fail_a_seed()
    assert daemon.tick() == {}


@pytest.mark.parametrize("idle", [0, 2])
def test_a_contract_that_changes_as_its_seed_ends_between_two_ticks_is_seeded_again(daemon: Daemon, idle: int) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    for _ in range(idle):
        assert daemon.tick() == {}
    daemon.seeded()
    daemon.publish(says=digest("another build"))
    assert daemon.tick() == everywhere()


def test_a_seed_that_ends_after_its_contract_changed_does_not_count_for_the_new_one(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.publish(says=digest("another build"))
    for cloud in CLOUDS:
        daemon.seed(cloud, "auto", says=digest(FIRST))
    assert daemon.tick() == everywhere()


def test_the_same_record_published_again_asks_for_nothing(daemon: Daemon) -> None:
    daemon.publish()
    daemon.tick()
    daemon.seeded()
    daemon.publish()
    assert daemon.tick() == {}
    assert daemon.tick() == {}


def test_what_is_at_work_is_not_asked_for_a_second_time(daemon: Daemon) -> None:
    daemon.publish()
    daemon.start(HETZNER, "auto")
    assert daemon.tick() == {"proxmox_template": {proxmox_seed("auto", FIRST)}}


def test_a_request_from_which_no_run_came_is_made_again(daemon: Daemon) -> None:
    daemon.publish()
    assert daemon.tick() == everywhere()
    daemon.wait(minutes=9)
    assert daemon.tick() == {}
    daemon.wait(minutes=3)
    assert daemon.tick() == everywhere()
    daemon.wait(hours=1)
    assert daemon.tick() == {}


def test_a_new_site_gets_the_record_that_the_build_slot_names_and_no_history(daemon: Daemon) -> None:
    for version in (FIRST, SECOND):
        daemon.publish(version)
        daemon.tick()
        daemon.seeded(version)
    hetzner = SETTINGS.sites.hetzner | {"new": hetzner_site("auto", "new")}
    daemon.configure(SETTINGS.model_copy(update={"sites": SETTINGS.sites.model_copy(update={"hetzner": hetzner})}))
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("new", SECOND)}}
    assert daemon.tick() == {}


def test_a_site_that_changes_from_by_hand_to_by_itself_gets_the_current_record_and_no_history(daemon: Daemon) -> None:
    for version in (FIRST, SECOND):
        daemon.publish(version)
        daemon.tick()
        daemon.seeded(version)
    daemon.configure(with_hetzner(auto=hetzner_site("auto", "a"), by_hand=hetzner_site("auto", "b")))
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("by-hand", SECOND)}}


def test_an_older_record_that_the_slot_names_again_is_the_current_one(daemon: Daemon) -> None:
    for version in (FIRST, SECOND):
        daemon.publish(version)
        daemon.tick()
        daemon.seeded(version)
    daemon.publish(FIRST)
    hetzner = SETTINGS.sites.hetzner | {"new": hetzner_site("auto", "new")}
    daemon.configure(SETTINGS.model_copy(update={"sites": SETTINGS.sites.model_copy(update={"hetzner": hetzner})}))
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("new", FIRST)}}


def test_a_site_that_is_switched_to_by_hand_is_left_alone_at_once(daemon: Daemon) -> None:
    daemon.publish()
    hetzner = {"auto": hetzner_site("manual", "a")}
    daemon.configure(SETTINGS.model_copy(update={"sites": SETTINGS.sites.model_copy(update={"hetzner": hetzner})}))
    assert daemon.tick() == {"proxmox_template": {proxmox_seed("auto", FIRST)}}


def test_a_changed_setting_counts_at_the_next_tick_without_a_reload(daemon: Daemon, tmp_path: Path) -> None:
    daemon.publish()
    text = daemon.root.settings_file.read_text()
    daemon.root.settings_file.write_text(text.replace("seed: auto", "seed: manual"))
    assert daemon.tick() == {}
    daemon.root.settings_file.write_text(text)
    assert daemon.tick() == everywhere()


def test_a_release_that_was_published_before_the_first_tick_is_seeded(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        daemon.publish()
        assert daemon.tick() == everywhere()
        assert daemon.tick() == {}


def test_a_daemon_that_lost_its_memory_asks_for_the_current_record_alone_and_not_for_what_is_there(
    daemon: Daemon,
) -> None:
    daemon.publish(FIRST)
    daemon.publish(SECOND)
    daemon.tick()
    daemon.seed(HETZNER, "auto", SECOND)
    daemon.forget()
    # No run came of what was requested: that much stands in the log.
    daemon.wait(minutes=11)
    assert daemon.tick() == {"proxmox_template": {proxmox_seed("auto", SECOND)}}


def test_a_release_that_came_while_the_daemon_was_down_is_seeded(daemon: Daemon) -> None:
    daemon.publish(FIRST)
    daemon.tick()
    daemon.seeded(FIRST)
    daemon.wait(days=3)
    daemon.publish(SECOND)
    assert daemon.tick() == everywhere(SECOND)


def test_one_sites_failures_keep_no_other_from_being_seeded(daemon: Daemon) -> None:
    daemon.configure(with_hetzner(bad=hetzner_site("auto", "bad"), good=hetzner_site("auto", "good")))
    daemon.publish(FIRST)
    for _ in range(2):
        daemon.tick()
        daemon.fail_a_seed(site="bad")
    daemon.seed(HETZNER, "good", FIRST)
    daemon.publish(SECOND)
    assert daemon.tick() == {"hetzner_image": {hetzner_seed(site, SECOND) for site in ("bad", "good")}}
