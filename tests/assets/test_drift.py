"""Drift: what was seeded and published is looked at again; every difference is told, and looking changes nothing."""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from hyops_assets.checks.drift import CHECK, SEEN, Drift, SeenObjects, drift_of_published
from hyops_assets.contract.evidence import Contract
from hyops_assets.definitions import build_definitions
from hyops_lab.cli.lab import SITE
from hyops_lab.ensemble import PROXMOX_TOKEN_ENV
from hyops_lab.hetzner.project import Image
from resources.artifacts.store import ArtifactStore
from resources.repository.resource import object_repository
from resources.settings import load_settings
from tests.assets.environment import RELEASE, LabEnvironment, quick
from tests.assets.test_lineage import changed, restored, snapshot, template
from tests.cli.shell import hyops
from tests.clouds import hetzner_seed

NEXT_YEAR = 1_830_000_000


def looked(home: LabEnvironment) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job as the schedule does; return each asset's evaluation."""
    definitions = build_definitions(home.root, load_settings(home.root), overrides=quick())
    result = definitions.resolve_job_def("look_for_drift").execute_in_process(instance=home.instance)
    found = {one.asset_key.to_user_string(): one for one in result.get_asset_check_evaluations()}
    assert {one.check_name for one in found.values()} == {CHECK}
    return found


def rows(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    table = evaluation.metadata["drift"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def differences(home: LabEnvironment, asset: str) -> list[dict[str, Any]]:
    evaluation = looked(home)[asset]
    assert not evaluation.passed
    return rows(evaluation)


def published(home: LabEnvironment, *, now: float) -> list[Drift]:
    settings, store = load_settings(home.root), ArtifactStore(home.root.artifacts)
    repository = object_repository(settings.repository, home.root, os.environ)
    return list(drift_of_published(settings, store, repository, now=now))


@pytest.fixture
def images(seeded: LabEnvironment) -> Iterator[dict[int, Image]]:
    """The project's images, put back afterwards."""
    contents = seeded.lab.hetzner.project.contents
    before = {id_: image.model_copy(deep=True) for id_, image in contents.images.items()}
    yield contents.images
    contents.images.clear()
    contents.images.update(before)


def test_what_stands_as_it_was_left_passes_everywhere_and_looking_changes_nothing(seeded: LabEnvironment) -> None:
    before = seeded.mutations(), seeded.published()
    found = looked(seeded)
    assert set(found) == {"proxmox_template", "hetzner_image", "published_contract"}
    assert all(one.passed and rows(one) == [] for one in found.values())
    assert (seeded.mutations(), seeded.published()) == before


def test_the_command_says_the_same_and_ends_with_1_where_something_differs(
    seeded: LabEnvironment, images: dict[int, Image]
) -> None:
    words = ("drift", "--root", seeded.root.path)
    whole = hyops(os.environ, *words)
    assert (whole.returncode, whole.stdout) == (0, "everything stands as it was left\n")
    images[snapshot(seeded).id].protected = False
    differing = hyops(os.environ, *words)
    assert differing.returncode == 1
    assert "protection against deletion" in differing.stdout
    assert "1 difference\n" in differing.stdout
    assert f"next: protect snapshot {snapshot(seeded).id} there again" in differing.stdout


def test_a_lab_that_is_down_is_reported_with_how_it_is_started(seeded: LabEnvironment) -> None:
    environ = {name: value for name, value in os.environ.items() if name != PROXMOX_TOKEN_ENV}
    ran = hyops(environ, "drift", "--root", seeded.root.path)
    assert ran.returncode == 1
    assert "next: hyops lab up" in ran.stdout


def test_a_missing_snapshot_is_reported(seeded: LabEnvironment, images: dict[int, Image]) -> None:
    gone = images.pop(snapshot(seeded).id)
    (row,) = differences(seeded, "hetzner_image")
    assert (row["where"], row["what"]) == (f"hetzner/{SITE}", f"snapshot {gone.id} can be read")


def test_a_snapshot_that_lost_its_protection_is_reported_where_the_site_protects(
    seeded: LabEnvironment, images: dict[int, Image]
) -> None:
    images[snapshot(seeded).id].protected = False
    (row,) = differences(seeded, "hetzner_image")
    assert (row["expected"], row["found"]) == ("protected", "not protected")


def test_a_relabelled_snapshot_is_reported(seeded: LabEnvironment, images: dict[int, Image]) -> None:
    images[snapshot(seeded).id].labels["hyops_disk_sha256_hi"] = "0" * 32
    assert any("holds the record's disk" in row["what"] for row in differences(seeded, "hetzner_image"))


def test_a_second_ready_snapshot_of_a_record_is_reported_as_extra_and_as_one_too_many(
    seeded: LabEnvironment, images: dict[int, Image]
) -> None:
    twin = snapshot(seeded).model_copy(update={"id": 999999}, deep=True)
    images[twin.id] = twin
    extra, double = differences(seeded, "hetzner_image")
    assert (extra["what"], extra["expected"]) == ("snapshot 999999", "left by a seed of this environment")
    assert double["found"].startswith("2: ")


def test_what_another_environment_left_ready_is_no_difference_and_the_check_says_whose_it_is(
    seeded: LabEnvironment, images: dict[int, Image]
) -> None:
    twin = snapshot(seeded).model_copy(update={"id": 999999}, deep=True)
    twin.labels["hyops_environment"] = "a1" * 10
    images[twin.id] = twin

    found = looked(seeded)["hetzner_image"]

    assert found.passed
    others = found.metadata["of other environments"]
    assert isinstance(others, dg.TableMetadataValue)
    (row,) = [dict(record.data) for record in others.records]
    assert row["what"] == "snapshot 999999"
    assert str(row["found"]).endswith(f"belongs to environment {'a1' * 10}")


def test_what_a_cleanup_removed_is_not_missed(seeded: LabEnvironment, images: dict[int, Image]) -> None:
    images.pop(snapshot(seeded).id)
    name = str(hetzner_seed(SITE, RELEASE))
    path = seeded.root.artifacts / "documents" / "hetzner_image" / f"{SITE}%7C{RELEASE}.json"
    with restored(path):
        assert ArtifactStore(seeded.root.artifacts).forget_document("hetzner_image", name)
        assert looked(seeded)["hetzner_image"].passed


def test_a_changed_or_missing_template_is_reported(seeded: LabEnvironment) -> None:
    with changed(template(seeded).config, description="our golden image"):
        assert any("seed was committed" in row["what"] for row in differences(seeded, "proxmox_template"))
    machines = seeded.lab.proxmox.inventory.machines
    gone = machines.pop(template(seeded).vmid)
    try:
        (row,) = differences(seeded, "proxmox_template")
    finally:
        machines[gone.vmid] = gone
    assert row["what"] == f"VMID {gone.vmid} can be read"


@pytest.fixture
def rights(seeded: LabEnvironment) -> Iterator[dict[str, frozenset[str]]]:
    """The token's rights at the lab's node, put back afterwards."""
    access = seeded.lab.proxmox.access
    before, access.privileges = access.privileges, {}
    yield access.privileges
    access.privileges = before


def test_a_token_that_may_only_read_finds_nothing_amiss(
    seeded: LabEnvironment, rights: dict[str, frozenset[str]]
) -> None:
    rights["/"] = frozenset({"VM.Audit", "Datastore.Audit"})
    found = looked(seeded)["proxmox_template"]
    assert (found.passed, rows(found)) == (True, [])


def test_a_token_that_sees_no_machine_is_reported_and_no_template_is_missed(
    seeded: LabEnvironment, rights: dict[str, frozenset[str]]
) -> None:
    rights["/"] = frozenset({"Datastore.Audit"})
    (row,) = differences(seeded, "proxmox_template")
    assert (row["what"], "VM.Audit" in row["found"]) == ("the whole site", True)


def test_a_pvestatd_that_hangs_hides_no_template(seeded: LabEnvironment) -> None:
    seeded.lab.proxmox.statistics.hanging = True
    try:
        assert looked(seeded)["proxmox_template"].passed
    finally:
        seeded.lab.proxmox.statistics.hanging = False


def test_a_site_that_cannot_be_read_is_a_difference_and_stops_no_other(
    seeded: LabEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(seeded.settings.hetzner_site(SITE).token_env)
    found = looked(seeded)
    (row,) = rows(found["hetzner_image"])
    assert (row["what"], row["expected"]) == ("the whole site", "can be read")
    assert found["proxmox_template"].passed


def test_a_site_that_is_configured_no_more_is_reported(seeded: LabEnvironment) -> None:
    seeded.configure(sites=seeded.settings.sites.model_copy(update={"hetzner": {}}))
    try:
        (row,) = differences(seeded, "hetzner_image")
    finally:
        seeded.configure()
    assert "it is not looked at" in row["found"]


def test_a_removed_object_and_one_of_another_size_are_reported(seeded: LabEnvironment) -> None:
    directory = seeded.lab.files.objects / "network/vyos"
    with restored(directory / f"vyos-1.5-{RELEASE}.qcow2") as qcow2:
        qcow2.chmod(0o600)
        qcow2.write_bytes(b"short")
        assert any(row["what"].startswith("size of") for row in differences(seeded, "published_contract"))
        qcow2.unlink()
        assert any("is not published" in row["found"] for row in differences(seeded, "published_contract"))
        qcow2.touch()


def test_an_object_whose_head_changed_is_read_whole_at_once(seeded: LabEnvironment) -> None:
    looked(seeded)
    with restored(seeded.lab.files.objects / f"network/vyos/vyos-1.5-{RELEASE}.raw.xz") as raw:
        raw.chmod(0o600)
        content = bytearray(raw.read_bytes())
        content[-1] ^= 1
        raw.write_bytes(bytes(content))
        assert any(row["what"].startswith("sha256 of") for row in differences(seeded, "published_contract"))


def test_objects_are_read_whole_again_when_their_time_has_come_and_not_before(seeded: LabEnvironment) -> None:
    store = ArtifactStore(seeded.root.artifacts)
    contract = store.read_document("published_contract", RELEASE, Contract)
    assert published(seeded, now=NEXT_YEAR) == []
    first = store.read_document(SEEN, RELEASE, SeenObjects)
    assert set(first.objects) == {*contract.urls.values(), contract.record_url}
    assert published(seeded, now=NEXT_YEAR + 86400) == []
    assert store.read_document(SEEN, RELEASE, SeenObjects) == first
    assert published(seeded, now=NEXT_YEAR + 31 * 86400) == []
    later = store.read_document(SEEN, RELEASE, SeenObjects)
    assert all(later.objects[url].read_at > one.read_at for url, one in first.objects.items())
