from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.settings.build import AptSource
from hyops_lab.miniature import MadeIso
from hyops_lab.signing import LabKey
from tests.assets.environment import LabEnvironment
from tests.assets.ground import Ground, make_ground
from tests.shared_ground import made_once


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The miniature's environments, made once per test run: docs/testing.md says which copy to take."""
    ground = Ground(made_once(tmp_path_factory, "miniature-graph", make_ground))
    yield ground
    ground.require_unchanged()


@pytest.fixture(scope="session")
def lab_key(ground: Ground) -> LabKey:
    return ground.key


@pytest.fixture(scope="session")
def packages(ground: Ground) -> AptSource:
    return ground.packages


@pytest.fixture(scope="session")
def miniature(ground: Ground) -> MadeIso:
    return ground.miniature


@pytest.fixture
def home(tmp_path: Path, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment whose lab announced the miniature, and whose instance ran nothing yet."""
    with ground.environment("announced", tmp_path) as copy:
        yield copy


@pytest.fixture
def built(tmp_path: Path, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment in which both records exist and passed their gates; nothing is published."""
    with ground.environment("built", tmp_path) as copy:
        yield copy


@pytest.fixture
def published(tmp_path: Path, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment whose record was built, gated and published, and is held by no site."""
    with ground.environment("published", tmp_path) as copy:
        yield copy


@pytest.fixture
def released(tmp_path: Path, ground: Ground) -> Iterator[LabEnvironment]:
    """An environment whose record was built, published and seeded at both clouds."""
    with ground.environment("seeded", tmp_path) as copy:
        yield copy


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[LabEnvironment]:
    """What `released` is, shared by the tests of a module: each puts back what it changes."""
    with ground.environment("seeded", tmp_path_factory.mktemp("seeded")) as copy:
        yield copy
