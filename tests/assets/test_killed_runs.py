"""SIGKILL of the run's process group in the middle of each asset, then a rerun: one of each thing, nothing left."""

import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.cli.instance import open_instance
from tests import processes
from tests.assets.ground import Ground, Stage
from tests.assets.house import RELEASE, House

OBJECTS = f"network/vyos/vyos-1.5-{RELEASE}"

# One in the middle of each asset, and two more where a cloud is half done; and what stands before the run begins.
STAGES: list[tuple[Stage, str, str]] = [
    ("announced", "vyos_iso", "download"),
    ("announced", "qcow2_record", "root file system"),
    ("announced", "raw_xz_record", "encode raw.xz"),
    ("built", "published_contract", "read back"),
    ("published", "proxmox_template", "download"),
    ("published", "proxmox_template", "template"),
    ("published", "hetzner_image", "write"),
    ("published", "hetzner_image", "read back"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "step", "stage"), STAGES, ids=[f"{step}-{stage}".replace(" ", "-") for _, step, stage in STAGES]
)
def test_a_killed_run_is_resumed_to_one_of_each_thing(
    ground: Ground, tmp_path: Path, before: Stage, step: str, stage: str
) -> None:
    with ground.environment(before, tmp_path) as home:
        _kill_and_resume(home, step, stage)


def _kill_and_resume(home: House, step: str, stage: str) -> None:
    doomed = subprocess.Popen(
        [sys.executable, "-m", "tests.assets.doomed", str(home.root.path), step, stage],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert doomed.wait(180) == -signal.SIGKILL
    assert processes.outliving(home.root.path) == {}
    assert not [name for name in home.published() if name.endswith("record.json")] or step.endswith(
        ("image", "template")
    )

    with open_instance(home.root) as instance:
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        assert instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    graph = home.graph()
    graph.build(RELEASE)
    home.seed_everywhere(graph)

    assert sum(name.endswith("record.json") for name in home.published()) == 1
    assert {name for name in home.published() if ".evidence-" not in name and ".sbom-" not in name} == {
        f"{OBJECTS}.{suffix}" for suffix in ("qcow2", "raw.xz", "record.json")
    }
    assert leftovers(home) == {"servers": 0, "keys": 0, "images": 1, "machines": 1}
    assert list((home.root.artifacts / "scratch").iterdir()) == []


def leftovers(home: House) -> dict[str, int]:
    """What stands in the lab's clouds."""
    contents = home.lab.hetzner.project.contents
    return {
        "servers": len(contents.servers),
        "keys": len(contents.keys),
        "images": sum(1 for image in contents.images.values() if image.kind == "snapshot"),
        "machines": len(home.lab.proxmox.inventory.machines),
    }
