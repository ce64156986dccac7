"""What the sensor of seeds asks Dagster for, and what it goes on from: the log, and one number per site."""

import gc
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.scale import RESOURCES
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds import owed
from resources.settings import load_settings
from sensors import seeds
from tests.assets.daemon import FIRST, SECOND, SETTINGS, Daemon, daemon_in, everywhere, hetzner_site, with_hetzner
from tests.clouds import HETZNER, hetzner_seed


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as daemon:
        assert daemon.tick() == {}
        daemon.publish()
        yield daemon


def delete_all_runs(daemon: Daemon) -> None:
    for run in daemon.instance.get_runs():
        daemon.instance.delete_run(run.run_id)


def keys(result: dg.SensorResult) -> set[str]:
    return {str(request.run_key) for request in result.run_requests or []}


def test_a_request_is_named_for_its_contract_its_cell_and_its_attempt(daemon: Daemon) -> None:
    contract = daemon.instance.get_latest_storage_id_by_partition(
        dg.AssetKey("published_contract"), dg.DagsterEventType.ASSET_MATERIALIZATION
    )[FIRST]
    assert keys(daemon.evaluate()) == {f"{contract}/{cloud}/auto|{FIRST}/1" for cloud in ("proxmox", "hetzner")}
    daemon.fail_a_seed()
    assert keys(daemon.evaluate()) == {f"{contract}/hetzner/auto|{FIRST}/2"}


def test_a_tick_that_is_repeated_before_anything_of_it_was_noted_asks_by_the_same_names(daemon: Daemon) -> None:
    killed = daemon.evaluate(killed=True)
    assert keys(daemon.evaluate()) == keys(killed) != set()


def test_runs_that_were_deleted_do_not_restart_the_count(daemon: Daemon) -> None:
    assert daemon.tick() == everywhere()
    for _ in range(2):
        daemon.fail_a_seed()
        daemon.tick()
    delete_all_runs(daemon)
    daemon.wait(days=30)
    assert "hetzner_image" not in daemon.tick()
    daemon.forget()
    assert "hetzner_image" not in daemon.tick()


def test_a_failed_run_that_was_deleted_is_asked_for_once_more_as_if_it_had_never_come(daemon: Daemon) -> None:
    daemon.tick()
    daemon.fail_a_seed()
    delete_all_runs(daemon)
    assert "hetzner_image" not in daemon.tick()
    daemon.wait(minutes=11)
    assert daemon.tick()["hetzner_image"] == {hetzner_seed("auto", FIRST)}
    daemon.fail_a_seed()
    delete_all_runs(daemon)
    daemon.wait(days=1)
    assert "hetzner_image" not in daemon.tick()


def test_history_that_was_requested_long_ago_is_not_asked_for_again_when_its_runs_were_deleted(daemon: Daemon) -> None:
    assert daemon.tick() == everywhere(FIRST)
    daemon.publish(SECOND)
    # Its run may have been deleted, and its seed with it: nothing tells that from a run that never came.
    daemon.wait(days=2)
    assert daemon.tick() == everywhere(SECOND)


def test_a_lost_cursor_does_not_restart_the_count(daemon: Daemon) -> None:
    for _ in range(2):
        daemon.tick()
        daemon.fail_a_seed()
    daemon.forget()
    assert "hetzner_image" not in daemon.tick()


@pytest.mark.parametrize("text", ["", "AAAeJxljs1OwzAMx18lyhkqpF12i", '{"seen": 7, "owed": {}}'])
def test_a_cursor_of_an_earlier_version_counts_as_lost(text: str) -> None:
    assert seeds.Cursor.parse(text) == seeds.Cursor()


def test_a_tick_asks_for_fifty_seeds_at_most_and_the_next_one_for_the_rest(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seeds.MOST_A_TICK == 50
    monkeypatch.setattr(seeds, "MOST_A_TICK", 3)
    daemon.configure(with_hetzner(**{f"s{number}": hetzner_site("auto", f"s{number}") for number in range(5)}))
    assert [len(daemon.tick().get("hetzner_image", ())) for _ in range(3)] == [3, 2, 0]


def test_history_that_a_process_has_not_read_yet_is_not_asked_for_meanwhile(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.publish(SECOND)
    for version in (FIRST, SECOND):
        daemon.seeded(version)
    daemon.tick()
    daemon.restart()
    monkeypatch.setattr(owed, "MOST_READ", 1)
    daemon.seed(HETZNER, "auto", FIRST, says="0" * 64)
    assert daemon.tick() == {}
    assert daemon.tick() == {"hetzner_image": {hetzner_seed("auto", FIRST)}}


def test_what_each_cell_waits_for_stands_in_the_tick_that_asks_for_nothing(daemon: Daemon) -> None:
    daemon.publish(SECOND, check=False)
    daemon.tick()
    said = str(daemon.evaluate().skip_reason)
    assert f"auto: {SECOND}: the blocking checks of its contract have not passed" in said
    assert f"by-hand: {SECOND}: the site is seeded by hand" in said
    assert f"auto: {FIRST}: requested at " in said


def test_a_version_that_was_forgotten_here_is_no_reason_for_a_red_tick(daemon: Daemon) -> None:
    daemon.instance.delete_dynamic_partition("vyos_record_version", FIRST)
    assert f"{FIRST} was forgotten here" in str(daemon.evaluate().skip_reason)


def test_a_new_site_becomes_a_partition_and_is_seeded_in_one_tick_although_no_shell_ran(tmp_path: Path) -> None:
    """As the code location evaluates it for the daemon: Dagster itself looks whether the partition will be there."""
    with daemon_in(tmp_path, SETTINGS) as daemon:
        daemon.publish()
        definitions = build_definitions(daemon.root, load_settings(daemon.root))
        with dg.build_sensor_context(
            instance=daemon.instance,
            instance_ref=daemon.instance.get_ref(),
            definitions=definitions,
            resources={name: (definitions.resources or {})[name] for name in RESOURCES},
        ) as context:
            ticked = definitions.resolve_sensor_def("seed_automation").evaluate_tick(context)
    added = {one.partitions_def_name: set(one.partition_keys) for one in ticked.dynamic_partitions_requests or []}
    assert added == {"proxmox_site": {"auto", "by-hand"}, "hetzner_site": {"auto", "by-hand"}}
    (request,) = [one for one in ticked.run_requests or [] if one.job_name == "seed_hetzner_image"]
    assert request.partition_key == f"auto|{FIRST}"
    # What the limit of one seed per site counts.
    assert request.tags["dagster/partition/hetzner_site"] == "auto"


def test_the_garbage_collector_is_on_again_after_looks_that_overlap() -> None:
    looks = [owed._no_collection(), owed._no_collection()]
    assert gc.isenabled()
    for look in looks:
        look.__enter__()
        assert not gc.isenabled()
    for look in looks:
        look.__exit__(None, None, None)
    assert gc.isenabled()
