"""A seed whose process is killed: the node goes on by itself, the next seed leaves one template and nothing else."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import resources.proxmox.building
import resources.proxmox.seed
from hyops_assets.image.digests import sha256_of_file
from resources.proxmox.client import Method, ProxmoxClient
from resources.proxmox.seed import ProxmoxSeeder
from tests.killing import killed_at_each_line
from tests.proxmox_scene import LIMITS, TOKEN, Scene, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


class MortalClient(ProxmoxClient):
    """Dies by SIGKILL just before, or just after, one of its changing calls."""

    calls_left: int
    after: bool

    def _call(self, method: Method, path: tuple[str | int, ...], parameters: dict[str, Any]) -> Any:
        if method == "get":
            return super()._call(method, path, parameters)
        self.calls_left -= 1
        if self.calls_left == 0 and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super()._call(method, path, parameters)
        if self.calls_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("nth", "call"), [(1, "download"), (2, "creation"), (3, "conversion"), (4, "commit")])
def test_a_seed_killed_around_any_changing_call_is_finished_by_the_next(
    scene: Scene, nth: int, call: str, *, after: bool
) -> None:
    def die() -> None:
        site = scene.site()
        client = MortalClient(site, TOKEN)
        client.calls_left, client.after = nth, after
        ProxmoxSeeder(client, site, limits=LIMITS).seed(scene.request())

    # The worker outlives the process that asked for it.
    scene.stand_in.workers.delay_seconds = 0.05
    _run_and_die(die)
    seeded = scene.seeder().seed(scene.request())

    began_a_machine = (nth, after) >= (2, True)
    committed = (nth, after) == (4, True)
    assert seeded.outcome == ("adopted" if committed else "resumed" if began_a_machine else "created"), call
    _require_one_template(scene)


@pytest.mark.slow
def test_a_seed_killed_at_any_line_of_its_own_is_finished_by_the_next(scene: Scene) -> None:
    def work() -> None:
        scene.seeder().seed(scene.request())

    for line in killed_at_each_line(work, resources.proxmox.seed, resources.proxmox.building):
        scene.seeder().seed(scene.request())
        _require_one_template(scene, f"line {line}")
        scene.finish(scene.client().delete_machine(scene.templates()[0]))


def _require_one_template(scene: Scene, where: str = "") -> None:
    vmids = list(scene.stand_in.inventory.machines)
    assert len(vmids) == 1, where
    assert scene.disks() == [f"local-lvm:base-{vmids[0]}-disk-0", f"local-lvm:vm-{vmids[0]}-cloudinit"], where
    disk = scene.stand_in.volume_path(f"local-lvm:base-{vmids[0]}-disk-0")
    assert sha256_of_file(disk) == scene.record.disk.sha256, where
    assert scene.seeder().seed(scene.request()).outcome == "adopted", where


def _run_and_die(work: Any) -> None:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            sys.stdout.flush()
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
