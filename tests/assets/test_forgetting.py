"""A partition that should not be there: what refers to it is listed first, and it leaves the dialogs."""

import dagster as dg
import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.forget import run_forget
from hyops_assets.cli.lab import SITE
from hyops_assets.contract.errors import Refused
from hyops_assets.definitions import build_definitions
from hyops_assets.forgetting import Partition, StillReferredTo, references
from hyops_assets.partitions import PROXMOX, VERSIONS, add_version
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from resources.states.store import StateStore
from tests.assets.house import RELEASE, House

MISTYPED = "2026.09.09-0000-rolling"


def referring(house: House, name: str) -> list[str]:
    found = references(
        Partition.parse(name),
        house.instance,
        ArtifactStore(house.root.artifacts),
        StateStore(house.root),
        load_settings(house.root),
    )
    return [one.what for one in found]


def versions(house: House) -> list[str]:
    return list(house.instance.get_dynamic_partitions(str(VERSIONS.name)))


def test_a_mistyped_version_is_forgotten_from_the_shell(home: House, capsys: pytest.CaptureFixture[str]) -> None:
    add_version(home.instance, MISTYPED)
    place = Place(home.root, "")
    run_forget(place, MISTYPED, apply=False, referred_to=False)
    assert MISTYPED in versions(home)
    assert "nothing refers to it" in capsys.readouterr().out
    run_forget(place, MISTYPED, apply=True, referred_to=False)
    assert MISTYPED not in versions(home)
    with pytest.raises(Refused, match=f"there is no partition {MISTYPED}"):
        run_forget(place, MISTYPED, apply=True, referred_to=False)


def test_a_mistyped_version_is_forgotten_from_the_ui(home: House) -> None:
    add_version(home.instance, MISTYPED)
    job = build_definitions(home.root, home.settings).resolve_job_def("forget_partition")
    for apply, left in ((False, True), (True, False)):
        config = {"ops": {"forget": {"config": {"partition": MISTYPED, "apply": apply}}}}
        assert job.execute_in_process(instance=home.instance, run_config=config).success
        assert (MISTYPED in versions(home)) is left


def test_what_still_refers_to_a_version_is_listed_and_keeps_it(seeded: House) -> None:
    found = referring(seeded, RELEASE)
    assert f"document published_contract/{RELEASE}" in found
    assert f"document hetzner_image/{SITE}|{RELEASE}" in found
    assert "state core/shared/vyos-image-build#vyos_default_build" in found
    with pytest.raises(StillReferredTo, match="state core/shared/vyos-image-build#vyos_default_build"):
        run_forget(Place(seeded.root, ""), RELEASE, apply=True, referred_to=False)
    assert RELEASE in versions(seeded)


def test_a_run_that_has_not_ended_keeps_a_version_whatever_is_asked(home: House) -> None:
    add_version(home.instance, MISTYPED)
    job = build_definitions(home.root, home.settings).resolve_job_def("build_record")
    run = home.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": MISTYPED}
    )
    with pytest.raises(StillReferredTo, match=f"run {run.run_id} has not ended"):
        run_forget(Place(home.root, ""), MISTYPED, apply=True, referred_to=True)


def test_a_site_is_forgotten_once_it_is_out_of_the_settings(home: House) -> None:
    home.instance.add_dynamic_partitions(PROXMOX.dimension, [SITE, "old"])
    assert referring(home, f"proxmox/{SITE}") == [f"sites.proxmox.{SITE} of config/pipeline.yml"]
    with pytest.raises(StillReferredTo, match=r"pipeline\.yml"):
        run_forget(Place(home.root, ""), f"proxmox/{SITE}", apply=True, referred_to=True)
    run_forget(Place(home.root, ""), "proxmox/old", apply=True, referred_to=False)
    assert "old" not in home.instance.get_dynamic_partitions(PROXMOX.dimension)
