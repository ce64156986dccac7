"""SIGKILL of the run's process group in the middle of each asset, then a rerun: one of each thing, nothing left."""

import signal

import dagster as dg
import pytest

from hyops_assets.cli.instance import open_instance
from tests import processes
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.failing_runs import Doom, dooming

OBJECTS = f"network/vyos/vyos-1.5-{RELEASE}"

# One in the middle of each asset, and two more where a cloud is half done. Each run goes on from what the one before
# it left, so that all that is asked of a resumed run is asked of one that was killed again.
BUILD = [
    ("vyos_iso", "download"),
    ("qcow2_record", "root file system"),
    ("raw_xz_record", "encode raw.xz"),
    ("published_contract", "read back"),
]
SEEDS = [
    ("proxmox_template", "download"),
    ("proxmox_template", "template"),
    ("hetzner_image", "write"),
    ("hetzner_image", "read back"),
]


@pytest.mark.slow
def test_a_build_that_is_killed_in_each_asset_is_resumed_to_one_record(home: LabEnvironment) -> None:
    with dooming() as doom:
        for killed, (step, stage) in enumerate(BUILD, start=1):
            kill(home, doom, step, stage, killed=killed)
            assert not [name for name in home.published() if name.endswith("record.json")], stage
    home.graph().build(RELEASE)

    assert sum(name.endswith("record.json") for name in home.published()) == 1
    assert {name for name in home.published() if ".evidence-" not in name and ".sbom-" not in name} == {
        f"{OBJECTS}.{suffix}" for suffix in ("qcow2", "raw.xz", "record.json")
    }
    assert scratches(home) == []


@pytest.mark.slow
def test_a_seed_that_is_killed_half_done_is_resumed_to_one_of_each_thing(published: LabEnvironment) -> None:
    home = published
    before = home.published()
    with dooming() as doom:
        for killed, (step, stage) in enumerate(SEEDS, start=1):
            kill(home, doom, step, stage, killed=killed)
    home.seed_everywhere(home.graph())

    assert home.published() == before
    assert leftovers(home) == {"servers": 0, "keys": 0, "images": 1, "machines": 1}
    assert scratches(home) == []


def kill(home: LabEnvironment, doom: Doom, step: str, stage: str, *, killed: int) -> None:
    """Kill a run at a stage: no process of it lives on, and its failure is known like those before it."""
    assert doom(home.root, step, stage) == -signal.SIGKILL, stage
    assert processes.outliving(home.root.path) == {}, stage
    with open_instance(home.root) as instance:
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])), stage
        assert len(instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))) == killed, stage


def scratches(home: LabEnvironment) -> list[str]:
    return [path.name for path in (home.root.artifacts / "scratch").glob("*")]


def leftovers(home: LabEnvironment) -> dict[str, int]:
    """What stands in the lab's clouds."""
    contents = home.lab.hetzner.project.contents
    return {
        "servers": len(contents.servers),
        "keys": len(contents.keys),
        "images": sum(1 for image in contents.images.values() if image.kind == "snapshot"),
        "machines": len(home.lab.proxmox.inventory.machines),
    }
