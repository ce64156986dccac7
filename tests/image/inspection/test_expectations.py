"""What a disk is compared with where no record promises anything of it."""

from pathlib import Path

import pytest

from hyops_assets.image.inspection.arrival import opened_disk
from hyops_assets.image.inspection.expectations import expected_of
from hyops_assets.image.inspection.questions import inspect
from hyops_assets.image.programs import run
from tests.image.conftest import Workshop


@pytest.fixture
def two_partitions(tmp_path: Path) -> Path:
    """A disk in upstream's `gpt` layout: an EFI partition and one for the system, no BIOS boot partition."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(600 << 20)
    run(["sgdisk", "-a1", "-n1:2048:+256M", "-t1:EF00", "-n2:0:0", "-t2:8300", disk])
    return disk


@pytest.mark.seconds
def test_a_disk_without_an_image_has_its_answers_beside_an_iso_too(
    two_partitions: Path, workshop: Workshop, tmp_path: Path
) -> None:
    with opened_disk(two_partitions, tmp_path) as arrived:
        expected, opened = expected_of(arrived, tmp_path, iso=workshop.iso.iso)
        findings = inspect(arrived.disk, expected, tmp_path)
    assert opened is None
    assert next(one.detail for one in findings if one.name == "partition_table") == "2 partitions, expected 3"
