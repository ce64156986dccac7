"""The instance of an environment that is new: the process that opens it first makes it, and others wait meanwhile."""

import subprocess
from pathlib import Path

import pytest
import yaml

from hyops_assets.cli.instance import DAGSTER_YAML
from hyops_assets.seeds.partitions import CLOUDS
from tests.cli.shell import CHECKOUT, HYOPS, environment

pytestmark = pytest.mark.seconds

OPEN = (
    "import sys; from pathlib import Path\n"
    "from hyops_assets.cli.instance import open_instance; from hyops_assets.contract.layout import RuntimeRoot\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "with open_instance(RuntimeRoot(Path(sys.argv[1]))) as instance:\n"
    "    print(instance.get_runs())"
)


def test_a_new_instance_is_opened_by_several_processes_at_once(tmp_path: Path) -> None:
    opening = [
        subprocess.Popen(
            [HYOPS[0], "-W", "ignore", "-c", OPEN, tmp_path / "root"],
            cwd=CHECKOUT,
            env=environment(tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in opening:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in opening:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) for process in opening] == [("[]\n", "")] * len(opening)


def test_each_cloud_of_the_registry_is_seeded_one_at_a_time_per_site() -> None:
    limits = yaml.safe_load(DAGSTER_YAML)["concurrency"]["runs"]["tag_concurrency_limits"]

    per_site = [limit for limit in limits if limit.get("value") == {"applyLimitPerUniqueValue": True}]
    assert [limit["key"] for limit in per_site] == [cloud.site_tag for cloud in CLOUDS]
    assert {limit["limit"] for limit in per_site} == {1}
