"""A host that lets no cell start: here one whose /proc is masked, as in a container. bubblewrap itself refuses there.

Each cell is made inside another one, over whose /proc something is mounted: the kernel then mounts no new one.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyops_assets.cli.main import app
from hyops_assets.image.programs import MissingProgram, find_program
from hyops_lab.cli.checks import user_namespaces
from hyops_lab.hetzner import confinement
from hyops_lab.hetzner.confinement import Cell, CellFailed, require_confinement
from resources.sites.hetzner.errors import ActionFailed, NotRescue
from tests.hetzner_lab import hetzner_lab

MASKED = ("--dev-bind", "/", "/", "--unshare-user", "--unshare-pid", "--proc", "/proc", "--tmpfs", "/proc/tty")
WHY = "Can't mount proc on /"
"""bwrap's own words; where it says that /proc would be differs by its version."""


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: Callable[[Cell, str], list[str]] = Cell.argv
    monkeypatch.setattr(Cell, "argv", lambda self, command: [find_program("bwrap"), *MASKED, *inside(self, command)])


def test_a_host_that_confines_programs_can_start_a_cell() -> None:
    require_confinement()


@pytest.mark.usefixtures("masked")
def test_doctor_tries_a_cell_as_the_lab_s_servers_have_it() -> None:
    check = user_namespaces()
    assert not check.ok
    assert WHY in check.found
    assert "in a container" in check.hint


def test_without_bubblewrap_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(program: str) -> str:
        raise MissingProgram(program)

    monkeypatch.setattr(confinement, "find_program", missing)
    with pytest.raises(CellFailed, match="bwrap is not installed") as caught:
        require_confinement()
    assert caught.value.hint == "apt-get install bubblewrap"


@pytest.mark.seconds
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("masked")
def test_the_lab_says_at_its_start_what_cannot_start_and_serves_the_rest(tmp_path: Path) -> None:
    try:
        ran = CliRunner().invoke(app, ["lab", "up", "--release", "", "--root", str(tmp_path)])
        assert (ran.exit_code, ran.exception) == (0, None), ran.output
        assert "the lab is up" in ran.output
        assert "warning: no rescue system of the lab's Hetzner project can start on this host" in ran.output
        assert WHY in ran.output
    finally:
        CliRunner().invoke(app, ["lab", "down", "--root", str(tmp_path)])


@pytest.mark.usefixtures("masked")
def test_the_demo_begins_nothing_that_could_not_end(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["demo", "--root", str(tmp_path / "new")])
    assert isinstance(ran.exception, CellFailed)
    assert WHY in ran.exception.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("masked")
def test_a_server_that_cannot_start_fails_its_action_and_the_seed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        with pytest.raises(ActionFailed, match=WHY):
            lab.seeder().seed(lab.request())
        assert [task for task in lab.standin.project.contents.tasks.values() if task.status == "running"] == []


@pytest.mark.usefixtures("masked")
def test_a_host_that_runs_nothing_is_quoted_and_not_taken_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has booted, and then its commands cannot start: what it says about that is in the refusal."""
    monkeypatch.setattr(Cell, "require", lambda self: None)
    with hetzner_lab(tmp_path, monkeypatch) as lab, pytest.raises(NotRescue, match=f"ran nothing.*{WHY}"):
        lab.seeder().seed(lab.request())
