"""A third cloud, as docs/tasks/add-a-cloud.md adds it: its code is that page's, and nothing else is changed."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from hyops_assets.contract.evidence import Contract
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.record import Variant
from hyops_assets.contract.references import BUILD_STATE
from resources.artifacts.store import ArtifactStore
from resources.settings import make_private
from resources.states.store import StateStore
from tests.contract.samples import VERSION, record

pytestmark = pytest.mark.seconds

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "tasks" / "add-a-cloud.md"

SCRIPT = """
import json, sys
from pathlib import Path

import resources.sites
resources.sites.__path__.append(sys.argv[1])
from resources.sites import registry
from resources.sites.directory.cloud import DIRECTORY
registry.CLOUDS = (*registry.CLOUDS, DIRECTORY)

from hyops_assets.assets.leftovers import site_sweep
from hyops_assets.checks.drift import drift_at
from hyops_assets.cli.graph import Graph
from hyops_assets.cli.instance import open_instance
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.seeds.partitions import cloud_named
from resources.artifacts.store import ArtifactStore
from resources.settings import load_settings

root, version = RuntimeRoot(Path(sys.argv[2])), sys.argv[3]
cloud, settings = cloud_named("directory"), load_settings(root)
places = cloud.spec.open(settings)

def drift():
    return [one.what for one in drift_at(cloud, settings, ArtifactStore(root.artifacts), places)]

with open_instance(root) as instance:
    graph = Graph(root, instance)
    first, second = (graph.seed(cloud, "shelf", version) for _ in range(2))
    file = Path(first.metadata["directory_copy"]["file"])
    whole = drift()
    swept = site_sweep(instance, cloud, places, "shelf").find()
    kept, _ = file.read_bytes(), file.write_bytes(b"another disk")
    rotten = drift()
    file.unlink()
    gone = drift()
    file.write_bytes(kept)

print(json.dumps({
    "outcomes": [ran.metadata["directory_copy"]["outcome"] for ran in (first, second)],
    "lineage": [passed for ran in (first, second) for passed, _ in ran.checks.values()],
    "file": str(file), "preflight": places.place("shelf").preflight(),
    "drift": whole, "rotten": rotten, "gone": gone, "swept": len(swept),
}))
"""


def written(directory: Path) -> None:
    """The page's code blocks, each as the file that its first line names."""
    blocks = re.findall(r"```python\n# resources/sites/(\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in blocks] == [f"directory/{name}.py" for name in ("cloud", "place", "__init__")]
    for name, code in blocks:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(code)


def published(root: RuntimeRoot, bytes_: bytes) -> Contract:
    """A contract whose qcow2 lies on this host, as a build's document and its state name it."""
    file = root.path / "objects" / f"vyos-1.5-{VERSION}.qcow2"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes_)
    qcow2 = Variant(file_name=file.name, size_bytes=len(bytes_), sha256=hashlib.sha256(bytes_).hexdigest())
    made = record().model_copy(update={"variants": {"qcow2": qcow2}})
    contract = Contract(
        record=made,
        record_digest=made.digest,
        record_url="",
        evidence_url="",
        sbom_url="",
        urls={"qcow2": file.as_uri()},
        signature=None,
        registered=True,
    )
    ArtifactStore(root.artifacts).write_document("published_contract", VERSION, contract)
    named: dict[str, Any] = {"record_version": VERSION, "record_digest": made.digest}
    StateStore(root).commit(BUILD_STATE, run_id="build", outputs=named)
    return contract


def test_the_pages_cloud_is_seeded_adopted_and_watched_by_the_graph_as_it_stands(tmp_path: Path) -> None:
    written(tmp_path)
    root, shelf = RuntimeRoot(tmp_path / "root"), tmp_path / "shelf"
    published(root, b"a disk")
    make_private(root.settings_file.parent, below=root.path)
    root.settings_file.write_text(yaml.safe_dump({"sites": {"directory": {"shelf": {"path": str(shelf)}}}}))

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path), str(root.path), VERSION],
        cwd=CHECKOUT,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    name = f"vyos-1.5-{VERSION}.qcow2"
    assert (found["outcomes"], found["lineage"]) == (["created", "adopted"], [True, True])
    assert found["preflight"] == f"{shelf} holds 1 files"
    assert (found["drift"], found["swept"]) == ([], 0)
    assert f"file {name} has the bytes that it says" in found["rotten"]
    assert found["gone"] == [f"file {name} can be read"]
    assert (shelf / name).read_bytes() == b"a disk"
    state = json.loads((root.states / "core__directory__vyos-copy-seed" / "latest.json").read_text())
    # As its first seed left it: the adoption changed nothing.
    assert (state["outputs"]["copy_version"], state["outputs"]["copy_seeded"]) == (VERSION, True)
