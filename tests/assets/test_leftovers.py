"""`leftover_resources` as the daemon runs it: every site, with what the instance knows of runs, told in a table."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Status

from hyops_assets.definitions import build_definitions
from hyops_assets.jobs import reap_leftovers
from hyops_assets.settings.pipeline import Settings
from hyops_lab.cli.lab import SITE
from hyops_lab.hetzner.project import Server
from hyops_lab.proxmox.inventory import Machine
from resources.settings import load_settings
from resources.sites.hetzner.labels import Labels
from resources.sites.proxmox.lineage import TemplateLineage, description_of
from tests.assets.environment import RELEASE, LabEnvironment, quick
from tests.clouds import proxmox_seed

DIGEST = "ab" * 32


def a_run(home: LabEnvironment, status: Status, **tags: str) -> str:
    """A run of the instance, as another process left it."""
    job = build_definitions(home.root, home.settings).resolve_job_def("reap_leftovers")
    return home.instance.create_run_for_job(job, status=status, tags=tags).run_id


def server(home: LabEnvironment, run_id: str, *, age: timedelta = timedelta(days=2)) -> None:
    created = home.lab.hetzner.project.now() - age
    expires = int((created + timedelta(hours=4)).timestamp())
    labels = Labels("seeder", "vyos-1.5", RELEASE, DIGEST, DIGEST, "0123456789abcdef", run_id, "pending", expires)
    project = home.lab.hetzner.project
    id_ = project.new_id()
    project.contents.servers[id_] = Server(
        id=id_,
        name=f"vyos-seed-{id_}",
        type_name="cx23",
        location="fsn1",
        image_id=next(iter(project.contents.images)),
        ipv4=project.free_address(),
        created=created,
        labels=labels.written(),
        status="off",
    )


def machine(home: LabEnvironment, run_id: str, *, expires: int = 1) -> None:
    lineage = TemplateLineage(
        vmid=9210,
        node="pve1",
        key="vyos-1.5",
        version=RELEASE,
        record_digest=DIGEST,
        disk_sha256=DIGEST,
        qcow2_sha256=DIGEST,
        source_url="https://example.net/x.qcow2",
        seed_id="0123456789abcdef",
        run_id=run_id,
        state="building",
        expires=expires,
    )
    home.lab.proxmox.inventory.machines[9210] = Machine(9210, {"name": "x", "description": description_of(lineage)})


def reap(home: LabEnvironment) -> tuple[list[dict[str, Any]], dg.AssetCheckEvaluation]:
    """Run the job; return the table of the materialization, and the check's evaluation."""
    definitions = build_definitions(home.root, load_settings(home.root), overrides=quick())
    result = definitions.resolve_job_def(reap_leftovers.name).execute_in_process(instance=home.instance)
    (event,) = result.get_asset_materialization_events()
    table = event.materialization.metadata["leftovers"]
    assert isinstance(table, dg.TableMetadataValue)
    (evaluation,) = result.get_asset_check_evaluations()
    return [dict(record.data) for record in table.records], evaluation


def left(home: LabEnvironment) -> tuple[int, int]:
    return len(home.lab.hetzner.project.contents.servers), len(home.lab.proxmox.inventory.machines)


def test_what_an_ended_run_left_is_removed_at_both_clouds_and_the_table_says_so(home: LabEnvironment) -> None:
    dead = a_run(home, Status.FAILURE)
    server(home, dead)
    machine(home, dead)

    rows, check = reap(home)

    assert left(home) == (0, 0)
    assert [(row["where"], row["verdict"]) for row in rows] == [(SITE, "removed")] * 2
    assert check.passed
    assert check.description == "2 removed"


@pytest.mark.parametrize("status", [Status.STARTED, Status.STARTING, Status.CANCELING])
def test_what_a_run_that_has_not_ended_made_stays_past_its_time(home: LabEnvironment, status: Status) -> None:
    alive = a_run(home, status)
    server(home, alive)
    machine(home, alive)

    rows, check = reap(home)

    assert left(home) == (1, 1)
    assert {row["verdict"] for row in rows} == {"keep"}
    assert check.passed


def test_what_names_no_environment_and_no_run_of_this_one_stays_and_is_left_to_a_person(home: LabEnvironment) -> None:
    server(home, "0a4e1f5e-3c76-4b07-a1c0-000000000000")
    machine(home, "0a4e1f5e-3c76-4b07-a1c0-000000000000")

    rows, check = reap(home)

    assert left(home) == (1, 1)
    assert {row["verdict"] for row in rows} == {"by hand"}
    assert not check.passed


def test_a_seed_at_work_at_the_site_keeps_the_machine_that_it_may_have_taken_over(home: LabEnvironment) -> None:
    machine(home, a_run(home, Status.FAILURE))
    key = proxmox_seed(SITE, RELEASE)
    tags = {f"dagster/partition/{name}": at for name, at in key.keys_by_dimension.items()}
    later = a_run(home, Status.STARTED, **tags)

    rows, _ = reap(home)

    assert left(home) == (0, 1)
    assert rows[0]["why"] == f"run {later} seeds at this site"


def test_one_site_that_cannot_be_looked_at_stops_no_other_and_the_check_fails(
    home: LabEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(home, a_run(home, Status.FAILURE))
    monkeypatch.delenv(home.settings.hetzner_site(SITE).token_env)

    rows, check = reap(home)

    assert [(row["what"].split()[0], row["verdict"]) for row in rows] == [
        ("the", "unknown"),
        ("unfinished", "removed"),
    ]
    assert "is unset or empty" in rows[0]["why"]
    assert not check.passed


def test_a_second_run_finds_nothing_and_changes_nothing(home: LabEnvironment) -> None:
    server(home, a_run(home, Status.FAILURE))
    reap(home)
    before = home.mutations()

    rows, check = reap(home)

    assert (rows, check.passed, check.description) == ([], True, "nothing found")
    assert home.mutations() == before


def test_the_schedule_asks_for_a_run_where_there_are_sites_and_says_why_not_where_there_are_none(
    home: LabEnvironment,
) -> None:
    definitions = build_definitions(home.root, home.settings)
    schedule = definitions.resolve_schedule_def("leftover_resources")
    for settings, expected in ((home.settings, dg.RunRequest), (Settings(), dg.SkipReason)):
        with dg.build_schedule_context(instance=home.instance, resources={"settings": settings}) as context:
            data = schedule.evaluate_tick(context)
        assert bool(data.run_requests) == (expected is dg.RunRequest)
        assert bool(data.skip_message) == (expected is dg.SkipReason)
