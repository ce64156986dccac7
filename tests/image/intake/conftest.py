import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.image.programs import run
from tests.image.conftest import Workshop


@pytest.fixture
def iso(workshop: Workshop) -> Path:
    return workshop.iso.iso


@pytest.fixture
def root(iso: Path, tmp_path: Path) -> Iterator[Path]:
    """The ISO's files, to be changed and mastered again."""
    root = tmp_path / "root"
    run(["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", root])
    run(["chmod", "-R", "u+w", root])
    yield root
    shutil.rmtree(root)


def mastered(root: Path) -> Path:
    iso = root.with_suffix(".iso")
    run(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-r", "-V", "VyOS", "-o", iso, root])
    return iso
