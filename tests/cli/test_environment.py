"""Which environment a command works in: what writes makes none of a mistyped name; what only looks needs none."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyops_assets.cli.commands.not_here import NOT_HERE
from hyops_assets.cli.environment import known_place
from hyops_assets.cli.main import app
from hyops_assets.cli.usage import BadUsage
from hyops_assets.contract.references import IMAGE_BUILD
from hyops_lab.cli import extra

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = CHECKOUT / "modules/core/shared/vyos-image-build/examples/inputs.gcs-state.yml"

WRITING = {
    "apply": ("--module", IMAGE_BUILD),
    "deploy": ("--module", IMAGE_BUILD),
    "plan": ("--module", IMAGE_BUILD),
    "seed": (),
    "acceptance": (),
    "cleanup": (),
    "drift": (),
    "dev": (),
    "ui": (),
    "rebuild": ("2026.03.03-0027-rolling", "--reason", "why"),
    "forget": ("2026.03.03-0027-rolling",),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with two environments."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HYOPS_ENV", "HYOPS_RUNTIME_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("dev", "prod"):
        (tmp_path / ".hybridops/envs" / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("command", WRITING)
def test_what_writes_refuses_an_unknown_environment_and_lists_those_that_exist(home: Path, command: str) -> None:
    ran = CliRunner().invoke(app, [command, *WRITING[command], "--env", "dv"])
    assert isinstance(ran.exception, BadUsage)
    assert ran.exception.message == "there is no environment dv (there are: dev, prod)"
    assert "hyops init --env dv" in ran.exception.hint
    assert sorted(one.name for one in (home / ".hybridops/envs").iterdir()) == ["dev", "prod"]


@pytest.mark.parametrize(
    "command",
    [("rebuild", "2026.03.03-0027-rolling", "--reason", "why"), ("reproduce", "evidence.json")],
    ids=" ".join,
)
def test_what_asks_the_systems_of_a_lab_reaches_the_lab_first(
    home: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "NEEDED", ("a_package_that_is_not_here",))
    settings = home / ".hybridops/envs/dev/config/pipeline.yml"
    settings.parent.mkdir()
    settings.write_text("lab: true\n")
    ran = CliRunner().invoke(app, [*command, "--env", "dev"])
    assert str(ran.exception).startswith("the lab needs a_package_that_is_not_here")


def test_a_root_that_is_not_there_is_refused_by_its_path(home: Path) -> None:
    with pytest.raises(BadUsage, match=f"there is no environment in {home}/nowhere"):
        known_place(home / "nowhere", None)


@pytest.mark.usefixtures("home")
def test_an_exported_name_is_looked_at_as_a_typed_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYOPS_ENV", "prd")
    with pytest.raises(BadUsage, match=r"no environment prd \(there are: dev, prod\)"):
        known_place(None, None)


def test_validate_needs_no_environment_and_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = ["validate", "--env", "dev", "--skip-preflight", "--module", IMAGE_BUILD, "--inputs", str(EXAMPLE)]
    ran = CliRunner().invoke(app, asked)
    assert (ran.exit_code, ran.exception) == (0, None)
    assert "status=ok" in ran.output
    assert "run record:" not in ran.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NOT_HERE)
def test_a_command_of_hybridops_that_is_not_here_says_so_and_what_serves_instead(name: str) -> None:
    ran = CliRunner().invoke(app, [name, "--env", "dev", "--module", "core/shared/vyos-image-build", "--execute"])
    assert isinstance(ran.exception, BadUsage)
    assert ran.exception.message.startswith(f"hyops {name} is a command of HybridOps that is not here: ")
    assert "deploy" not in str(ran.exception)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        *(("aply", "'apply'"), ("deply", "'deploy'"), ("destory", "'destroy'"), ("destoy", "'destroy'")),
        *(("remove", ""), ("delete", ""), ("status", ""), ("undeploy", "")),
    ],
)
def test_a_mistyped_command_leads_to_its_nearest_and_to_nothing_else(typed: str, offered: str) -> None:
    shown = CliRunner().invoke(app, [typed]).output
    assert f"No such command '{typed}'" in shown
    assert re.findall(r"'\w+'", shown.partition(f"'{typed}'")[2]) == ([offered] if offered else [])


def test_the_help_offers_none_of_them() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert not [name for name in NOT_HERE if f" {name} " in shown]
