"""`hyops init`, and the template it writes."""

import re
from pathlib import Path

import pytest
import yaml

from hyops_assets.cli.init import TEMPLATE
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.pipeline import Settings
from resources.environment_id import find_environment_id
from resources.settings import load_settings
from tests.cli.shell import environment, hyops

MARK = "#:"


def test_init_writes_a_private_file_that_validates_and_ends_with_0(tmp_path: Path) -> None:
    root = RuntimeRoot(tmp_path / ".hybridops/envs/dev")
    ran = hyops(environment(tmp_path), "init", "--env", "dev")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == f"template written: {root.settings_file}"
    assert root.settings_file.stat().st_mode & 0o777 == 0o600
    assert root.settings_file.parent.stat().st_mode & 0o777 == 0o700
    environment_id = find_environment_id(root)
    assert environment_id is not None
    assert load_settings(root) == Settings().of_environment(environment_id)


def test_init_replaces_nothing_unless_it_is_asked_to(tmp_path: Path) -> None:
    root = RuntimeRoot(tmp_path / ".hybridops/envs/dev")
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text("feed: {poll_seconds: 60}\n")
    ran = hyops(environment(tmp_path), "init", "--env", "dev")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {root.settings_file} is there already")
    assert root.settings_file.read_text() == "feed: {poll_seconds: 60}\n"
    assert hyops(environment(tmp_path), "init", "--env", "dev", "--force", "--template-status").returncode == 10
    assert root.settings_file.read_text() == TEMPLATE


def test_show_init_says_whether_it_was_done(tmp_path: Path) -> None:
    assert "initialised: false" in hyops(environment(tmp_path), "show", "init", "--env", "dev").stdout
    hyops(environment(tmp_path), "init", "--env", "dev")
    assert "initialised: true" in hyops(environment(tmp_path), "show", "init", "--env", "dev").stdout


def sections() -> dict[str, str]:
    """The template's settings without their mark, by their top-level key."""
    text = "\n".join(line.removeprefix(MARK) for line in TEMPLATE.splitlines() if line.startswith(MARK))
    return {section.partition(":")[0]: section for section in re.split(r"\n(?! )", text)}


@pytest.mark.parametrize("name", ["feed", "build", "repository", "sites"])
def test_every_section_validates_when_its_mark_is_taken_away(name: str) -> None:
    settings = Settings.model_validate(yaml.safe_load(sections()[name]))
    assert settings.model_fields_set == {name}


def test_all_sections_validate_together_and_no_other_line_is_a_setting() -> None:
    settings = Settings.model_validate(yaml.safe_load("\n".join(sections().values())))
    assert set(settings.sites.proxmox) == set(settings.sites.hetzner) == {"main"}
    assert yaml.safe_load(TEMPLATE) is None
    assert max(len(line) for line in TEMPLATE.splitlines()) <= 119


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o177])
def test_every_directory_on_the_way_is_the_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    ran = hyops(environment(home), "init", "--env", "dev", umask=umask)
    assert (ran.returncode, ran.stderr) == (0, "")
    made = [home / ".hybridops", *(home / ".hybridops").rglob("*")]
    assert {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in made} == {
        **dict.fromkeys((".hybridops", ".hybridops/envs", ".hybridops/envs/dev", ".hybridops/envs/dev/config"), 0o700),
        ".hybridops/envs/dev/config/environment-id": 0o600,
        ".hybridops/envs/dev/config/pipeline.yml": 0o600,
    }
    assert home.stat().st_mode & 0o777 == 0o755
