"""A seed whose process is killed: the node goes on by itself, the next seed leaves one template and nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyops_assets.image.digests import sha256_of_file
from resources.sites.proxmox.client import Method, ProxmoxClient
from resources.sites.proxmox.seed import ProxmoxSeeder
from tests.killing import kills
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene

pytestmark = pytest.mark.seconds


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


class MortalClient(ProxmoxClient):
    """Dies by SIGKILL just before, or just after, its nth call; reading calls count only where asked for."""

    def die(self, nth: int, *, after: bool, counting_reads: bool = False) -> "MortalClient":
        self._left, self._after, self._counting_reads = nth, after, counting_reads
        return self

    def _call(self, method: Method, path: tuple[str | int, ...], parameters: dict[str, Any]) -> Any:
        if method == "get" and not self._counting_reads:
            return super()._call(method, path, parameters)
        self._left -= 1
        if self._left == 0 and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = super()._call(method, path, parameters)
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("nth", "call"), [(1, "download"), (2, "creation"), (3, "tags"), (4, "conversion"), (5, "commit")]
)
def test_a_seed_killed_around_any_changing_call_is_finished_by_the_next(
    scene: Scene, nth: int, call: str, *, after: bool
) -> None:
    # The worker outlives the process that asked for it.
    scene.stand_in.workers.delay_seconds = 0.05
    assert _killed(scene, nth, after=after)
    seeded = scene.seeder().seed(scene.request())

    began_a_machine = (nth, after) >= (2, True)
    committed = (nth, after) == (5, True)
    assert seeded.outcome == ("adopted" if committed else "resumed" if began_a_machine else "created"), call
    _require_one_template(scene)


@kills(some=6)
def test_a_seed_killed_between_any_two_calls_is_finished_by_the_next(scene: Scene, every: int) -> None:
    """Between two calls a seed changes nothing outside its process, so this is every place where a kill can matter."""
    nth = 1
    while _killed(scene, nth, after=False, counting_reads=True):
        scene.seeder().seed(scene.request())
        _require_one_template(scene, f"call {nth}")
        scene.finish(scene.client().delete_machine(scene.templates()[0]))
        nth += every
    assert nth > 15


def _require_one_template(scene: Scene, where: str = "") -> None:
    vmids = list(scene.stand_in.inventory.machines)
    assert len(vmids) == 1, where
    assert scene.disks() == [f"local-lvm:base-{vmids[0]}-disk-0", f"local-lvm:vm-{vmids[0]}-cloudinit"], where
    disk = scene.stand_in.volume_path(f"local-lvm:base-{vmids[0]}-disk-0")
    assert sha256_of_file(disk) == scene.record.disk.sha256, where
    assert scene.seeder().seed(scene.request()).outcome == "adopted", where


def _killed(scene: Scene, nth: int, *, after: bool, counting_reads: bool = False) -> bool:
    """Seed in a child that dies at its nth call; False where it lived to the end, having made fewer."""
    child = os.fork()
    if child == 0:
        try:
            site = scene.site()
            client = MortalClient(site, TOKEN, timeouts=QUICK).die(nth, after=after, counting_reads=counting_reads)
            ProxmoxSeeder(client, site).seed(scene.request())
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)
