from pathlib import Path

import pytest

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.layout import runtime_root

HOME = Path("/home/someone")


def test_an_environment_lies_where_hybridops_keeps_it() -> None:
    assert runtime_root({}, home=HOME, env="dev").path == HOME / ".hybridops/envs/dev"


def test_a_given_root_wins_over_the_environment_variables() -> None:
    environ = {"HYOPS_RUNTIME_ROOT": "/srv/a", "HYOPS_ENV": "prod"}
    assert runtime_root(environ, home=HOME, root=Path("/srv/b")).path == Path("/srv/b")
    assert runtime_root(environ, home=HOME).path == Path("/srv/a")
    assert runtime_root({"HYOPS_ENV": "prod"}, home=HOME).path == HOME / ".hybridops/envs/prod"


def test_a_named_environment_wins_over_an_exported_root() -> None:
    assert runtime_root({"HYOPS_RUNTIME_ROOT": "/srv/a"}, home=HOME, env="x").path == HOME / ".hybridops/envs/x"


def test_root_and_env_exclude_each_other() -> None:
    with pytest.raises(Refused):
        runtime_root({}, home=HOME, root=Path("/srv"), env="dev")


@pytest.mark.parametrize("env", ["../x", "a/b", "-x", "a b"])
def test_an_environment_name_never_leaves_its_directory(env: str) -> None:
    with pytest.raises(Refused):
        runtime_root({}, home=HOME, env=env)
