from pathlib import Path

import pytest

from hyops_assets.cli.environment import Place
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import RuntimeRoot
from hyops_lab.booted import NothingToBoot, boot_disk
from hyops_lab.cli.boot import boot_image


def test_a_disk_that_the_lab_does_not_hold_is_not_booted(tmp_path: Path) -> None:
    with pytest.raises(NothingToBoot, match=r"image-1\.disk"):
        boot_disk(tmp_path / "image-1.disk", release="2026.03.03-0027-rolling", scratch=tmp_path)


def test_without_a_seeded_snapshot_of_a_lab_there_is_nothing_to_boot(tmp_path: Path) -> None:
    place = Place(RuntimeRoot(tmp_path), "")
    place.root.lab.mkdir(parents=True)
    with pytest.raises(Refused, match="names no snapshot of a lab"):
        boot_image(place, uefi=False)


def test_in_an_environment_without_a_lab_nothing_is_booted(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="there is no lab in "):
        boot_image(Place(RuntimeRoot(tmp_path), ""), uefi=False)
