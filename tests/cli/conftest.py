import pytest

from tests.assets.conftest import home, lab_key, miniature, packages, seeded
from tests.cli.gated import Home, gated_home

__all__ = ["home", "lab_key", "miniature", "packages", "seeded"]


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The environment of this run's one gated look-alike. Tests read it; nothing runs there."""
    return gated_home(tmp_path_factory)
