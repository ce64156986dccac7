"""A partition that should not be there: what refers to it is listed first, and it leaves the dialogs."""

import shlex

import dagster as dg
import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.forget import run_forget
from hyops_assets.contract.errors import Refused
from hyops_assets.definitions import build_definitions
from hyops_assets.seeds.forgetting import Partition, StillReferredTo, references
from hyops_assets.seeds.partitions import VERSIONS, add_version
from hyops_lab.cli.lab import SITE
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from resources.states.store import StateStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.clouds import PROXMOX

MISTYPED = "2026.09.09-0000-rolling"


def referring(lab_environment: LabEnvironment, name: str) -> list[str]:
    found = references(
        Partition.parse(name),
        lab_environment.instance,
        ArtifactStore(lab_environment.root.artifacts),
        StateStore(lab_environment.root),
        load_settings(lab_environment.root),
    )
    return [one.what for one in found]


def versions(lab_environment: LabEnvironment) -> list[str]:
    return list(lab_environment.instance.get_dynamic_partitions(str(VERSIONS.name)))


def test_a_mistyped_version_is_forgotten_from_the_shell(
    home: LabEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    add_version(home.instance, MISTYPED)
    place = Place(home.root, "")
    run_forget(place, MISTYPED, apply=False, referred_to=False)
    assert MISTYPED in versions(home)
    assert "nothing refers to it" in capsys.readouterr().out
    run_forget(place, MISTYPED, apply=True, referred_to=False)
    assert MISTYPED not in versions(home)
    with pytest.raises(Refused, match=f"there is no partition {MISTYPED}"):
        run_forget(place, MISTYPED, apply=True, referred_to=False)


@pytest.mark.parametrize("typed", [MISTYPED, "2026.03.03 0027 (röling)"])
def test_a_mistyped_version_is_forgotten_from_the_ui(home: LabEnvironment, typed: str) -> None:
    add_version(home.instance, typed)
    job = build_definitions(home.root, home.settings).resolve_job_def("forget_partition")
    for apply, left in ((False, True), (True, False)):
        config = {"ops": {"forget": {"config": {"partition": typed, "apply": apply}}}}
        assert job.execute_in_process(instance=home.instance, run_config=config).success
        assert (typed in versions(home)) is left


def test_what_still_refers_to_a_version_is_listed_and_keeps_it(
    seeded: LabEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    found = referring(seeded, RELEASE)
    assert f"document published_contract/{RELEASE}" in found
    assert f"document hetzner_image/{SITE}|{RELEASE}" in found
    assert "state core/shared/vyos-image-build#vyos_default_build" in found
    with pytest.raises(StillReferredTo, match="state core/shared/vyos-image-build#vyos_default_build"):
        run_forget(Place(seeded.root, ""), RELEASE, apply=True, referred_to=False)
    assert RELEASE in versions(seeded)
    for referred_to, then in ((False, "--apply would be refused; what refers to it"), (True, "--apply forgets it")):
        run_forget(Place(seeded.root, ""), RELEASE, apply=False, referred_to=referred_to)
        assert f"plan: nothing is changed; {then}" in capsys.readouterr().out


def test_a_run_that_has_not_ended_keeps_a_version_whatever_is_asked(home: LabEnvironment) -> None:
    add_version(home.instance, MISTYPED)
    job = build_definitions(home.root, home.settings).resolve_job_def("build_record")
    run = home.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": MISTYPED}
    )
    with pytest.raises(StillReferredTo, match=f"run {run.run_id} has not ended"):
        run_forget(Place(home.root, ""), MISTYPED, apply=True, referred_to=True)


def test_a_site_is_forgotten_once_it_is_out_of_the_settings(home: LabEnvironment) -> None:
    home.instance.add_dynamic_partitions(PROXMOX.dimension, [SITE, "old"])
    assert referring(home, f"proxmox/{SITE}") == [f"sites.proxmox.{SITE} of config/pipeline.yml"]
    with pytest.raises(StillReferredTo, match=r"pipeline\.yml"):
        run_forget(Place(home.root, ""), f"proxmox/{SITE}", apply=True, referred_to=True)
    run_forget(Place(home.root, ""), "proxmox/old", apply=True, referred_to=False)
    assert "old" not in home.instance.get_dynamic_partitions(PROXMOX.dimension)


@pytest.mark.parametrize("typed", [MISTYPED, "2026.03.03-27-rolling", "2026.03.03-0027-rolling "])
def test_a_version_mistyped_in_the_dialog_says_at_the_first_step_how_it_is_forgotten(
    home: LabEnvironment, typed: str
) -> None:
    add_version(home.instance, typed)
    definitions = build_definitions(home.root, home.settings)
    ran = definitions.resolve_job_def("build_record").execute_in_process(
        instance=home.instance, partition_key=typed, raise_on_error=False
    )
    assert {event.step_key for event in ran.get_step_failure_events()} == {"vyos_iso"}
    assert f"forget it: hyops forget {shlex.quote(typed)} --apply" in failures(ran)
    run_forget(Place(home.root, ""), typed, apply=True, referred_to=False)
    assert typed not in versions(home)


@pytest.mark.parametrize(
    ("site", "version", "forgotten"),
    [(SITE, MISTYPED, MISTYPED), ("lap", RELEASE, "proxmox/lap")],
    ids=["a version that was never published", "a site that is not configured"],
)
def test_a_seed_of_a_mistyped_cell_says_what_to_forget(
    seeded: LabEnvironment, site: str, version: str, forgotten: str
) -> None:
    add_version(seeded.instance, version)
    seeded.instance.add_dynamic_partitions(PROXMOX.dimension, [site])
    ran = (
        build_definitions(seeded.root, seeded.settings)
        .resolve_job_def("seed_proxmox_template")
        .execute_in_process(instance=seeded.instance, partition_key=PROXMOX.seed(site, version), raise_on_error=False)
    )
    assert not ran.success
    assert f"forget it: hyops forget {forgotten} --apply" in failures(ran)
    run_forget(Place(seeded.root, ""), forgotten, apply=True, referred_to=False)


def failures(ran: dg.ExecuteInProcessResult) -> str:
    """What the run's page shows of the steps that failed."""
    errors = [event.step_failure_data.error for event in ran.get_step_failure_events()]
    return "\n".join(error.to_string() for error in errors if error)
