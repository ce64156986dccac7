"""The lab is an extra: `hyops` finds it by its entry point, loads it when it is used, and says how to install it."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hyops_assets.cli import extras
from hyops_assets.cli.environment import place
from hyops_assets.cli.main import main
from hyops_assets.cli.prepare import reach_environment
from hyops_assets.contract.errors import Refused
from hyops_assets.settings.pipeline import Settings
from hyops_lab.cli import extra
from tests.test_floors import loaded_by

INSTALL = f"next: {extras.INSTALL}"


@pytest.fixture
def without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "NEEDED", ("aiohttp", "a_package_that_is_not_here"))


@pytest.fixture
def without_the_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(extras, "entry_points", lambda group: [])
    extras.installed.cache_clear()
    yield
    extras.installed.cache_clear()


@pytest.mark.usefixtures("without_its_packages")
@pytest.mark.parametrize("command", [["demo"], ["lab", "up"], ["lab", "env"]], ids=" ".join)
def test_without_its_packages_a_command_of_the_lab_says_how_to_install_them(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["hyops", *command, "--root", str(tmp_path / "root")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: the lab needs a_package_that_is_not_here",
        f"  {INSTALL}",
    ]
    assert not (tmp_path / "root").exists()


@pytest.mark.usefixtures("without_its_packages")
def test_an_environment_of_the_lab_is_not_reached_without_its_packages(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the lab needs a_package_that_is_not_here"):
        reach_environment(place(tmp_path, None), Settings(lab=True))
    reach_environment(place(tmp_path, None), Settings())
    (check,) = extras.checks(lab=False)
    assert check.found == "a_package_that_is_not_here not installed; no settings here need it"
    (check,) = extras.checks(lab=True)
    assert (check.status, check.hint) == ("missing", extras.INSTALL)


@pytest.mark.usefixtures("without_the_lab")
def test_without_the_lab_an_environment_of_the_lab_is_refused_and_any_other_works(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the lab is not installed"):
        reach_environment(place(tmp_path, None), Settings(lab=True))
    reach_environment(place(tmp_path, None), Settings())
    states = {lab: [(check.status, check.hint) for check in extras.checks(lab=lab)] for lab in (True, False)}
    assert states == {True: [("missing", extras.INSTALL)], False: [("ok", "")]}


@pytest.mark.usefixtures("without_the_lab")
@pytest.mark.parametrize("command", [["lab", "up", "--env", "dev"], ["demo"], ["lab", "--help"]], ids=" ".join)
def test_without_the_lab_its_commands_say_how_to_install_it(command: list[str]) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    extras.add_commands(app)
    ended = CliRunner().invoke(app, command)
    assert isinstance(ended.exception, Refused)
    assert ended.exception.hint == extras.INSTALL


def test_an_extra_that_cannot_be_loaded_keeps_no_other_from_working(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("other", "no_such_module:X", extras.GROUP)
    monkeypatch.setattr(extras, "entry_points", lambda group: [broken, *entry_points(group=group)])
    extras.installed.cache_clear()
    assert list(extras.installed()) == ["lab"]
    extras.installed.cache_clear()
    assert "the extra other cannot be loaded: No module named 'no_such_module'" in capsys.readouterr().err


def test_the_command_loads_nothing_of_what_the_lab_needs_before_it_is_used(tmp_path: Path) -> None:
    loaded = loaded_by("import hyops_assets.cli.main", tmp_path)
    assert loaded & {"aiohttp", "trustme", "hyops_lab.ensemble", "hyops_lab.cli.lab"} == set()
    assert "hyops_lab.cli.commands" in loaded
