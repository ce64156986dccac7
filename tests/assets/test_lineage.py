"""The chain from a cloud back to the signature: it holds, and when one link is broken the check names that link."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hyops_assets.contract.evidence import Contract, SignedIso
from hyops_assets.definitions import build_definitions
from hyops_lab.cli.lab import SITE
from hyops_lab.hetzner.project import Image
from hyops_lab.proxmox.inventory import Machine
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings
from tests.assets.environment import RELEASE, LabEnvironment, quick
from tests.clouds import HETZNER, hetzner_seed, proxmox_seed

TEMPLATE = "proxmox_template"
IMAGE = "hetzner_image"
PARTITIONS = {TEMPLATE: proxmox_seed(SITE, RELEASE), IMAGE: hetzner_seed(SITE, RELEASE)}


def audit(home: LabEnvironment, asset: str) -> dg.AssetCheckEvaluation:
    """Run one lineage check by itself, as "Execute" on the check does in the UI."""
    check = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), "lineage_holds"))
    definitions = dg.Definitions.merge(
        build_definitions(home.root, load_settings(home.root), overrides=quick()),
        dg.Definitions(jobs=[dg.define_asset_job("audit", selection=check)]),
    )
    key = PARTITIONS[asset]
    # As the webserver launches it: `partition_key=` looks for assets among the job's selection, and there are none.
    tags = {"dagster/partition": str(key)} | {
        f"dagster/partition/{name}": at for name, at in key.keys_by_dimension.items()
    }
    result = definitions.resolve_job_def("audit").execute_in_process(
        instance=home.instance, tags=tags, raise_on_error=False
    )
    assert result.success
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def rows(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    table = evaluation.metadata["chain"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def broken(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    """The link at which the chain ended."""
    assert not evaluation.passed
    *whole, last = rows(evaluation)
    assert all(row["holds"] for row in whole)
    assert not last["holds"]
    assert evaluation.description == f"broken link: {last['link']}"
    return last


def contract(home: LabEnvironment) -> Contract:
    return ArtifactStore(home.root.artifacts).read_document("published_contract", RELEASE, Contract)


def iso(home: LabEnvironment) -> SignedIso:
    return ArtifactStore(home.root.artifacts).read_document("iso", RELEASE, SignedIso)


def snapshot(home: LabEnvironment) -> Image:
    (found,) = [image for image in home.lab.hetzner.project.contents.images.values() if image.kind == "snapshot"]
    return found


def template(home: LabEnvironment) -> Machine:
    (found,) = home.lab.proxmox.inventory.machines.values()
    return found


@contextmanager
def restored(path: Path) -> Iterator[Path]:
    """A file that a test may change, rot or remove: a copy of its own, as the original may be shared."""
    kept = path.with_name(f"{path.name}.kept")
    path.replace(kept)
    shutil.copy2(kept, path)
    try:
        yield path
    finally:
        kept.replace(path)


@contextmanager
def changed(mapping: dict[str, Any], **values: Any) -> Iterator[None]:
    """Entries of a mapping that have other values for a while."""
    before = dict(mapping)
    mapping.update(values)
    try:
        yield
    finally:
        mapping.clear()
        mapping.update(before)


@pytest.mark.parametrize("asset", [TEMPLATE, IMAGE])
def test_a_whole_chain_holds_and_its_table_shows_every_link(seeded: LabEnvironment, asset: str) -> None:
    evaluation = audit(seeded, asset)
    assert evaluation.passed
    table = rows(evaluation)
    assert all(row["holds"] and row["expected"] == row["found"] for row in table)
    found = {str(row["found"]) for row in table}
    record = contract(seeded).record
    assert {record.disk.sha256, record.digest, iso(seeded).sha256, iso(seeded).signature.key_id} <= found
    assert [str(row["link"]).split(":")[0] for row in table[-5:]] == ["record", "record", "ISO", "ISO", "signature"]


@pytest.mark.parametrize("asset", [TEMPLATE, IMAGE])
def test_the_check_ran_with_the_seed_and_changes_nothing_when_it_runs_again(
    seeded: LabEnvironment, asset: str
) -> None:
    before = seeded.mutations(), seeded.published()
    assert audit(seeded, asset).passed
    assert (seeded.mutations(), seeded.published()) == before
    summary = seeded.instance.event_log_storage.get_asset_check_summary_records(
        [dg.AssetCheckKey(dg.AssetKey(asset), "lineage_holds")]
    )
    assert all(record.last_check_execution_record is not None for record in summary.values())


@pytest.mark.parametrize(
    ("label", "value", "link"),
    [
        ("hyops_disk_sha256_hi", "0" * 32, "holds the record's disk"),
        ("hyops_record_lo", "0" * 32, "was seeded from the record"),
        ("hyops_state", "pending", "says that its seed was committed"),
    ],
)
def test_a_relabelled_image_is_found(seeded: LabEnvironment, label: str, value: str, link: str) -> None:
    with changed(snapshot(seeded).labels, **{label: value}):
        assert link in broken(audit(seeded, IMAGE))["link"]


def test_an_image_without_labels_is_found(seeded: LabEnvironment) -> None:
    image = snapshot(seeded)
    labels = dict(image.labels)
    image.labels.clear()
    try:
        assert broken(audit(seeded, IMAGE))["found"] == "nothing"
    finally:
        image.labels.update(labels)


def test_an_image_that_hybridops_would_not_find_by_its_name_is_found(seeded: LabEnvironment) -> None:
    image = snapshot(seeded)
    name, image.description = image.description, "renamed"
    try:
        assert broken(audit(seeded, IMAGE))["found"] == "renamed"
    finally:
        image.description = name


def test_a_removed_snapshot_is_found(seeded: LabEnvironment) -> None:
    images = seeded.lab.hetzner.project.contents.images
    gone = images.pop(snapshot(seeded).id)
    try:
        link = broken(audit(seeded, IMAGE))
    finally:
        images[gone.id] = gone
    assert link["link"] == f"{SITE}: snapshot {gone.id} can be read"
    assert "no snapshot" in link["found"]


def test_a_removed_template_is_found(seeded: LabEnvironment) -> None:
    machines = seeded.lab.proxmox.inventory.machines
    gone = machines.pop(template(seeded).vmid)
    try:
        link = broken(audit(seeded, TEMPLATE))
    finally:
        machines[gone.vmid] = gone
    assert link["link"] == f"{SITE}: VMID {gone.vmid} can be read"


def test_an_edited_description_of_a_template_is_found(seeded: LabEnvironment) -> None:
    with changed(template(seeded).config, description="our golden image"):
        assert "says that its seed was committed" in broken(audit(seeded, TEMPLATE))["link"]


def test_a_template_whose_description_names_another_disk_is_found(seeded: LabEnvironment) -> None:
    description = str(template(seeded).config["description"])
    disk = contract(seeded).record.disk.sha256
    assert disk in description
    with changed(template(seeded).config, description=description.replace(disk, "0" * 64)):
        link = broken(audit(seeded, TEMPLATE))
    assert ("holds the record's disk" in link["link"], link["found"]) == (True, "0" * 64)


def test_a_template_that_is_no_template_any_more_is_found(seeded: LabEnvironment) -> None:
    with changed(template(seeded).config, template=0):
        assert "is a whole template" in broken(audit(seeded, TEMPLATE))["link"]


def test_a_templates_disk_of_another_size_is_found(seeded: LabEnvironment) -> None:
    disk = seeded.lab.proxmox.volume_path(str(template(seeded).config["scsi0"]).split(",")[0])
    with restored(disk):
        disk.chmod(0o600)
        os.truncate(disk, 2 << 30)
        link = broken(audit(seeded, TEMPLATE))
    assert "has no other fault" in link["link"]
    assert str(2 << 30) in link["found"]


@pytest.mark.parametrize("asset", [TEMPLATE, IMAGE])
def test_an_altered_public_record_is_found(seeded: LabEnvironment, asset: str) -> None:
    path = seeded.lab.files.objects / f"network/vyos/vyos-1.5-{RELEASE}.record.json"
    with restored(path):
        path.chmod(0o600)
        path.write_text(path.read_text().replace(contract(seeded).record.disk.sha256, "0" * 64))
        assert broken(audit(seeded, asset))["link"] == "record: the published document is this record"


def test_a_removed_public_record_is_found(seeded: LabEnvironment) -> None:
    path = seeded.lab.files.objects / f"network/vyos/vyos-1.5-{RELEASE}.record.json"
    with restored(path):
        path.unlink()
        assert "is not published" in broken(audit(seeded, IMAGE))["found"]


def test_an_iso_that_is_gone_is_found(seeded: LabEnvironment) -> None:
    blob = ArtifactStore(seeded.root.artifacts).blob_path(iso(seeded).sha256)
    with restored(blob):
        blob.unlink()
        link = broken(audit(seeded, IMAGE))
    assert link["link"] == "ISO: its bytes are as we took them in"
    assert "lacks" in link["found"]


def test_an_iso_that_rotted_is_found_with_the_digest_it_has_now(seeded: LabEnvironment) -> None:
    blob = ArtifactStore(seeded.root.artifacts).blob_path(iso(seeded).sha256)
    with restored(blob):
        blob.chmod(0o600)
        with blob.open("r+b") as file:
            file.write(b"rot")
        link = broken(audit(seeded, TEMPLATE))
    assert link["link"] == "ISO: its bytes are as we took them in"
    assert "held" in link["found"]


def test_an_iso_that_was_never_taken_in_is_found(seeded: LabEnvironment) -> None:
    with restored(seeded.root.artifacts / "documents" / "iso" / f"{RELEASE}.json") as document:
        document.unlink()
        assert broken(audit(seeded, IMAGE))["link"] == "ISO: taken in by us"


def test_a_withdrawn_key_is_found(seeded: LabEnvironment) -> None:
    seeded.configure(feed=seeded.settings.feed.model_copy(update={"keys": []}))
    try:
        link = broken(audit(seeded, IMAGE))
    finally:
        seeded.configure()
    assert link["link"] == "signature: a trusted key signed these bytes"
    assert link["expected"] == iso(seeded).signature.key_id


def test_a_site_that_is_not_configured_any_more_is_found(seeded: LabEnvironment) -> None:
    seeded.configure(sites=seeded.settings.sites.model_copy(update={"hetzner": {}}))
    try:
        link = broken(audit(seeded, IMAGE))
    finally:
        seeded.configure()
    assert "can be read" in link["link"]
    assert "no hetzner site" in link["found"]


def test_a_seed_that_finds_its_image_gone_makes_it_again_and_the_chain_holds(seeded: LabEnvironment) -> None:
    images = seeded.lab.hetzner.project.contents.images
    gone = images.pop(snapshot(seeded).id)
    ran = seeded.graph().seed(HETZNER, SITE, RELEASE)
    assert ran.metadata[IMAGE]["outcome"] == "created"
    assert snapshot(seeded).id != gone.id
    assert audit(seeded, IMAGE).passed
