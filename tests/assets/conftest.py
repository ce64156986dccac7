from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.build_settings import AptSource
from hyops_assets.lab.miniature import MadeIso, make_miniature
from hyops_assets.lab.packages import make_repository
from hyops_assets.lab.signing import LabKey
from tests.assets.house import RELEASE, House, house


@pytest.fixture(scope="session")
def lab_key() -> LabKey:
    return LabKey.generate()


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> AptSource:
    return make_repository(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory, lab_key: LabKey) -> MadeIso:
    return make_miniature(tmp_path_factory.mktemp("miniature"), RELEASE, lab_key)


@pytest.fixture
def home(tmp_path: Path, lab_key: LabKey, packages: AptSource, miniature: MadeIso) -> Iterator[House]:
    """A house whose lab announced the miniature."""
    with house(tmp_path, lab_key.trusted_as("lab"), packages) as built:
        built.announce(miniature)
        yield built


@pytest.fixture(scope="module")
def seeded(
    tmp_path_factory: pytest.TempPathFactory, lab_key: LabKey, packages: AptSource, miniature: MadeIso
) -> Iterator[House]:
    """A house whose record was built, published and seeded. Its tests share it: each puts back what it changes."""
    with house(tmp_path_factory.mktemp("seeded"), lab_key.trusted_as("lab"), packages) as built:
        built.announce(miniature)
        graph = built.graph()
        graph.build(RELEASE)
        built.seed_everywhere(graph)
        yield built
