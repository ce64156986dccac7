import pytest

from tests.assets.conftest import home, lab_key, miniature, packages, seeded
from tests.cli.released import Home, released_home

__all__ = ["home", "lab_key", "miniature", "packages", "seeded"]


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The environment of this run's one gated look-alike. Tests read it; nothing runs there."""
    return released_home(tmp_path_factory)
