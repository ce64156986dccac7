import pytest

from tests.assets.conftest import built, ground, home, lab_key, miniature, packages, published, released, seeded
from tests.cli.gated import Home, gated_home

__all__ = ["built", "ground", "home", "lab_key", "miniature", "packages", "published", "released", "seeded"]


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The environment of this run's one gated look-alike. Tests read it; nothing runs there."""
    return gated_home(tmp_path_factory)
