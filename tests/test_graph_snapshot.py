"""The graph as a small literal: a change of it shows what changes for its users."""

from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.definitions import build_definitions
from hyops_assets.gate_results import REQUIRED
from hyops_assets.image.inspection.questions import QUESTIONS
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.upkeep import UpkeepSettings

VERSION = "vyos_record_version"

# Each with its group, kinds, upstream assets and partitions.
ASSETS = {
    "vyos_release": ("upstream", {"vyos", "json"}, set(), {VERSION}),
    "vyos_iso": ("upstream", {"vyos", "iso"}, {"vyos_release"}, {VERSION}),
    "qcow2_record": ("records", {"qemu", "file"}, {"vyos_iso"}, {VERSION}),
    "raw_xz_record": ("records", {"xz", "file"}, {"qcow2_record"}, {VERSION}),
    "published_contract": ("contract", {"json", "pydantic"}, {"raw_xz_record"}, {VERSION}),
    "proxmox_template": ("seeds", {"proxmox"}, {"published_contract"}, {"proxmox_site", VERSION}),
    "hetzner_image": ("seeds", {"hetzner"}, {"published_contract"}, {"hetzner_site", VERSION}),
    "leftover_resources": ("upkeep", {"proxmox", "hetzner"}, set(), set()),
}

# Each with whether it blocks.
CHECKS = {
    "vyos_release:feed_is_sound": False,
    **{f"qcow2_record:{question}": True for question in QUESTIONS},
    "qcow2_record:boots_bios": True,
    "qcow2_record:boots_uefi": True,
    "raw_xz_record:variants_decode_to_one_disk": True,
    "published_contract:anonymous_read_back": True,
    "proxmox_template:lineage_holds": False,
    "hetzner_image:lineage_holds": False,
    "leftover_resources:every_leftover_is_gone": False,
    "proxmox_template:every_site_is_seeded": False,
    "hetzner_image:every_site_is_seeded": False,
}
STANDING = {"proxmox_template:every_site_is_seeded", "hetzner_image:every_site_is_seeded"}
DRIFT = {f"{asset}:stands_as_it_was_left" for asset in ("published_contract", "proxmox_template", "hetzner_image")}
CHECKS |= dict.fromkeys(DRIFT, False)
WHOLE = STANDING | DRIFT | {"vyos_release:feed_is_sound"}
"""Checks that look at the whole grid, or at the feed whatever releases it names."""

JOBS = {
    "build_record": {"vyos_iso", "qcow2_record", "raw_xz_record", "published_contract"},
    "adopt_record": {"qcow2_record", "raw_xz_record", "published_contract"},
    "register_record": {"published_contract"},
    "seed_proxmox_template": {"proxmox_template"},
    "seed_hetzner_image": {"hetzner_image"},
    "reap_leftovers": {"leftover_resources"},
    "look_for_missing_seeds": set(),
    "look_for_drift": set(),
    "forget_partition": set(),
}

STOPPED, RUNNING = dg.DefaultSensorStatus.STOPPED, dg.DefaultSensorStatus.RUNNING


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(RuntimeRoot(Path("/nowhere")), Settings())


def dimensions(partitions: dg.PartitionsDefinition | None) -> set[str | None]:
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        of_each = (dimension.partitions_def for dimension in partitions.partitions_defs)
        return {inner.name for inner in of_each if isinstance(inner, dg.DynamicPartitionsDefinition)}
    return {partitions.name} if isinstance(partitions, dg.DynamicPartitionsDefinition) else set()


def test_assets_stand_in_their_groups_with_kinds_upstream_and_partitions(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {
        node.key.to_user_string(): (
            node.group_name,
            set(node.kinds),
            {key.to_user_string() for key in node.parent_keys},
            dimensions(node.partitions_def),
        )
        for node in graph.asset_nodes
    } == ASSETS


def test_every_asset_that_is_made_here_has_a_description_and_a_code_version(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        assert node.description, node.key
        assert node.code_version or node.key == dg.AssetKey("vyos_release")


def test_checks_stand_at_their_assets_and_every_gate_blocks(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.asset_check_keys]
    assert {node.key.to_user_string(): node.blocking for node in nodes} == CHECKS
    assert all(node.description for node in nodes)


def test_every_check_has_the_partitions_of_its_asset_but_those_that_look_at_the_whole_grid(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    whole = {key.to_user_string() for key in graph.asset_check_keys if graph.get(key).partitions_def is None}
    asset_of = {key.to_user_string(): graph.get(key.asset_key) for key in graph.asset_check_keys}
    assert {check for check in whole if asset_of[check].partitions_def is not None} == WHOLE
    for key in graph.asset_check_keys:
        if key.to_user_string() not in whole:
            assert graph.get(key).partitions_def == graph.get(key.asset_key).partitions_def


def test_publication_requires_exactly_the_blocking_checks_of_the_records(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    records = {dg.AssetKey("qcow2_record"), dg.AssetKey("raw_xz_record")}
    assert {key.name for key in graph.asset_check_keys if key.asset_key in records} == set(REQUIRED)


def test_jobs_select_their_assets_with_their_checks(definitions: dg.Definitions) -> None:
    found, checks = {}, {}
    for name in JOBS:
        layer = definitions.resolve_job_def(name).asset_layer
        found[name] = {key.to_user_string() for key in layer.selected_asset_keys}
        checks[name] = {key.to_user_string() for key in layer.asset_graph.asset_check_keys}
    assert found == JOBS
    assert checks == {
        name: {check for check in CHECKS if check.split(":")[0] in assets} - STANDING - DRIFT
        for name, assets in JOBS.items()
    } | {"look_for_missing_seeds": STANDING, "look_for_drift": DRIFT, "forget_partition": set()}
    assert {job.name for job in definitions.jobs or []} == set(JOBS)


def test_seeds_run_by_themselves_and_the_feed_is_polled_where_it_is_asked_for(definitions: dg.Definitions) -> None:
    always = {"seed_automation": RUNNING, "run_failures": RUNNING, "recipe_changes": STOPPED, "killed_runs": RUNNING}
    assert statuses(definitions) == {"vyos_rolling_release": STOPPED, **always}
    polling = build_definitions(RuntimeRoot(Path("/nowhere")), Settings(feed=FeedSettings(sensor="running")))
    assert statuses(polling) == {"vyos_rolling_release": RUNNING, **always}


def test_upkeep_goes_by_the_clock_unless_the_settings_say_otherwise(definitions: dg.Definitions) -> None:
    assert schedules(definitions) == {
        "leftover_resources": ("17 * * * *", dg.DefaultScheduleStatus.RUNNING),
        "drift": ("41 0 * * *", dg.DefaultScheduleStatus.RUNNING),
        "missing_seeds": ("7 * * * *", dg.DefaultScheduleStatus.RUNNING),
    }
    seldom = UpkeepSettings(leftovers="stopped", leftovers_every_hours=6, drift="stopped", drift_every_hours=12)
    assert schedules(build_definitions(RuntimeRoot(Path("/nowhere")), Settings(upkeep=seldom))) == {
        "leftover_resources": ("17 */6 * * *", dg.DefaultScheduleStatus.STOPPED),
        "drift": ("41 */12 * * *", dg.DefaultScheduleStatus.STOPPED),
        "missing_seeds": ("7 * * * *", dg.DefaultScheduleStatus.RUNNING),
    }


def schedules(definitions: dg.Definitions) -> dict[str, tuple[object, dg.DefaultScheduleStatus]]:
    found = [schedule for schedule in definitions.schedules or [] if isinstance(schedule, dg.ScheduleDefinition)]
    return {schedule.name: (schedule.cron_schedule, schedule.default_status) for schedule in found}


def statuses(definitions: dg.Definitions) -> dict[str, dg.DefaultSensorStatus]:
    return {sensor.name: sensor.default_status for sensor in definitions.sensors or []}


def test_nothing_has_a_condition_sensors_and_schedules_request_what_runs_by_itself(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()
    nodes = [*graph.asset_nodes, *(graph.get(key) for key in graph.asset_check_keys)]
    assert [node.key for node in nodes if node.automation_condition] == []


def test_building_definitions_touches_nothing(tmp_path: Path) -> None:
    dg.Definitions.validate_loadable(build_definitions(RuntimeRoot(tmp_path / "root"), Settings()))
    assert list(tmp_path.iterdir()) == []
