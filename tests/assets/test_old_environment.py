"""An environment that an older version made goes on: it is opened, adopted without a changing call, and cleaned up."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.settings.upkeep import UpkeepSettings
from hyops_lab.cli.lab import SITE
from hyops_lab.hetzner.project import Image, Server
from resources.environment_id import find_environment_id
from tests.assets.environment import RELEASE, LabEnvironment, moved
from tests.cli.shell import hyops
from tests.clouds import HETZNER, PROXMOX

pytestmark = pytest.mark.seconds

FIXTURE = Path(__file__).parents[1] / "fixtures" / "environments" / "c79271e.tar.xz"
FORMER = Path("/environment/root")
CURRENT = f"{RELEASE}-r2"


@pytest.fixture
def old(tmp_path: Path) -> Iterator[LabEnvironment]:
    """The environment that commit c79271e made; tests/fixtures/environments/README.md says what it holds."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    with moved(tmp_path, former=FORMER) as lab_environment:
        yield lab_environment


def snapshots(home: LabEnvironment) -> dict[str, Image]:
    images = home.lab.hetzner.project.contents.images.values()
    return {image.description: image for image in images if image.kind == "snapshot"}


def templates(home: LabEnvironment) -> list[int]:
    return sorted(vmid for vmid, machine in home.lab.proxmox.inventory.machines.items() if machine.is_template)


def of_nobody_known(home: LabEnvironment) -> tuple[Image, Server]:
    """A superseded snapshot and a server of an older environment that shares the project."""
    project = home.lab.hetzner.project
    mine = snapshots(home)[f"hyops-vyos-1.5-{RELEASE}"]
    labels = mine.labels | {"hyops_run_id": "0a4e1f5e-3c76-4b07-a1c0-000000000000"}
    image = mine.model_copy(update={"id": project.new_id(), "labels": labels, "description": "of another"}, deep=True)
    project.contents.images[image.id] = image
    server = Server(
        id=project.new_id(),
        name="vyos-seed-0123456789ab",
        type_name="cx23",
        location="fsn1",
        image_id=next(iter(project.contents.images)),
        ipv4=project.free_address(),
        created=mine.created,
        labels=labels | {"hyops_role": "seeder", "hyops_state": "pending", "hyops_expires": "1"},
        status="off",
    )
    project.contents.servers[server.id] = server
    return image, server


def test_it_is_adopted_without_a_changing_call_and_cleaned_up_by_what_its_runs_prove(old: LabEnvironment) -> None:
    assert [sorted(snapshots(old)), templates(old)] == [
        [f"hyops-vyos-1.5-{RELEASE}", f"hyops-vyos-1.5-{CURRENT}"],
        [9200, 9201],
    ]
    assert not any("hyops_environment" in image.labels for image in snapshots(old).values())
    before, states = old.mutations(), old.state("core__hetzner__vyos-image-seed/latest.json")
    graph = old.graph()

    seeded = graph.seed(HETZNER, SITE, CURRENT).metadata["hetzner_image"]
    template = graph.seed(PROXMOX, SITE, CURRENT).metadata["proxmox_template"]

    assert (seeded["outcome"], template["outcome"]) == ("adopted", "adopted")
    assert seeded["ownership"] == template["ownership"] == "this environment made it"
    assert old.mutations() == before
    assert (
        old.state("core__hetzner__vyos-image-seed/latest.json")["outputs"]["image_ref"]
        == (states["outputs"]["image_ref"])
    )
    assert find_environment_id(old.root) is not None

    image, server = of_nobody_known(old)
    old.configure(upkeep=UpkeepSettings(keep=0, keep_days=0))
    cleaned = hyops(os.environ, "cleanup", "--root", old.root.path, "--apply")

    assert cleaned.returncode == 0, cleaned
    assert "it names no environment, and no run or document here made it" in cleaned.stdout
    assert sorted(snapshots(old)) == sorted([f"hyops-vyos-1.5-{CURRENT}", image.description])
    assert templates(old) == [9201]
    assert server.id in old.lab.hetzner.project.contents.servers
