from dataclasses import dataclass
from pathlib import Path

import pytest

from hyops_assets.image.build import BuiltDisk, build_disk
from hyops_assets.settings.build import AptSource, BuildSettings
from hyops_lab.miniature import MadeIso, make_miniature
from hyops_lab.packages import make_repository
from hyops_lab.signing import LabKey

RELEASE = "2026.03.03-0027-rolling"
DISK_BYTES = 512 << 20


@dataclass(frozen=True)
class Workshop:
    """What a build of the miniature needs, made once per test run."""

    iso: MadeIso
    source: AptSource
    helper: Path
    cache: Path

    @property
    def settings(self) -> BuildSettings:
        return BuildSettings(disk_bytes=DISK_BYTES, apt_sources=[self.source])

    def build(self, destination: Path, scratch: Path, **changes: object) -> BuiltDisk:
        arguments = {
            "release": RELEASE,
            "settings": self.settings,
            "helper": self.helper,
            "lock": None,
            "cache": self.cache,
            "destination": destination,
            "scratch": scratch,
            **changes,
        }
        return build_disk(self.iso.iso, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


def make_workshop(root: Path) -> Workshop:
    helper = root / "cc_vyos.py"
    helper.write_text("# the canonical helper\n")
    return Workshop(
        make_miniature(root, RELEASE, LabKey.generate()), make_repository(root / "repository"), helper, root / "cache"
    )


@pytest.fixture(scope="session")
def built(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuiltDisk]:
    root = tmp_path_factory.mktemp("built")
    disk = root / "disk.raw"
    return disk, workshop.build(disk, root)
