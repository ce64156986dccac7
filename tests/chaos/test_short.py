"""The short form of `make chaos`: well-chosen points of one way into each cloud, on one environment."""

from dataclasses import dataclass

import pytest

from chaos.__main__ import FEWEST_POINTS
from chaos.clouds import CLOUDS
from chaos.environment import ChaosEnvironment
from chaos.points import Point
from chaos.rounds import play, record_trace
from hyops_assets.contract.record import Record

CHOSEN = {
    "hetzner": ["SSH /servers/<id>, half way", "POST /images/<id>/actions/change_protection, before"],
    "proxmox": ["IMPORT local-lvm:vm-<vmid>-disk-0, half way", "PUT /nodes/pve1/qemu/<id>/config, after"],
}
"""In the midst of the bytes, and where the last change is not done or not heard of. That a kill around any other call
is finished is tried without Dagster: tests/resources/test_hetzner_seed.py, test_proxmox_killed.py."""

CHOSEN_IN_LONG = {
    "hetzner": [
        "POST /servers, after",
        "POST /servers/<id>/actions/create_image, after",
        "PUT /images/<id>, before",
        "DELETE /servers/<id>, after",
    ],
    "proxmox": [
        "POST /nodes/pve1/storage/local/download-url, after",
        "GET /network/vyos/vyos-1.5-2026.03.03-0027-rolling.qcow2, half way",
        "POST /nodes/pve1/qemu, after",
        "POST /nodes/pve1/qemu/<id>/template, after",
    ],
}

NOISE_BYTES = 8 << 20
"""A quarter of what `make chaos` brings and writes."""


@dataclass
class Scene:
    environment: ChaosEnvironment
    record: Record
    points: dict[str, list[Point]]

    def point(self, cloud: str, wanted: str) -> Point:
        """The point that is named, or the middle one of a stream's."""
        name, _, stage = wanted.rpartition(", ")
        if stage != "half way":
            return next(point for point in self.points[cloud] if str(point) == wanted)
        stages = [point for point in self.points[cloud] if str(point).startswith(f"{name}, at")]
        return stages[len(stages) // 2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    environment = ChaosEnvironment(tmp_path_factory.mktemp("chaos"), private=False, noise_bytes=NOISE_BYTES)
    record = environment.build()
    return Scene(environment, record, {name: record_trace(environment, cloud) for name, cloud in CLOUDS.items()})


@pytest.mark.slow
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_run_has_enough_places_to_be_killed_at(scene: Scene, cloud: str) -> None:
    assert len(set(scene.points[cloud])) >= FEWEST_POINTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cloud", "wanted"),
    [
        *((cloud, point) for cloud, points in CHOSEN.items() for point in points),
        *(
            pytest.param(cloud, point, marks=pytest.mark.long)
            for cloud, points in CHOSEN_IN_LONG.items()
            for point in points
        ),
    ],
)
def test_a_killed_run_is_finished_by_the_next_and_the_third_changes_nothing(
    scene: Scene, cloud: str, wanted: str
) -> None:
    played = play(scene.environment, CLOUDS[cloud], scene.record, scene.point(cloud, wanted))
    assert played.killed
    assert list(played.problems) == []
    assert played.mutations == 0
