"""An environment's id: made once, private, kept beside the settings; one that cannot be read is not made up again."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.ownership import is_environment_id
from hyops_assets.settings.pipeline import Settings, SettingsError
from resources.environment_id import ensure_environment_id, find_environment_id
from resources.settings import load_settings, save_settings, settings_to_write

COMMENTED = "# ours, asked for by Ann\nupkeep:\n  keep: 3  # was 2\n"


@pytest.fixture
def root(tmp_path: Path) -> RuntimeRoot:
    return RuntimeRoot(tmp_path / "root")


def test_reading_makes_none_and_writing_makes_one_that_stays(root: RuntimeRoot) -> None:
    assert load_settings(root).environment_id is None
    assert not root.path.exists()
    made = settings_to_write(root).environment_id
    assert made is not None
    assert is_environment_id(made)
    assert [settings_to_write(root).environment_id, load_settings(root).environment_id] == [made, made]


def test_it_is_private_and_no_half_of_it_is_left(root: RuntimeRoot) -> None:
    ensure_environment_id(root)
    assert root.environment_id_file.stat().st_mode & 0o777 == 0o600
    assert root.environment_id_file.parent.stat().st_mode & 0o777 == 0o700
    assert list(root.environment_id_file.parent.iterdir()) == [root.environment_id_file]


def test_the_users_settings_and_their_comments_are_not_touched(root: RuntimeRoot) -> None:
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text(COMMENTED)
    assert settings_to_write(root).upkeep.keep == 3
    assert root.settings_file.read_text() == COMMENTED


def test_settings_that_are_copied_to_another_environment_do_not_take_it_along(
    root: RuntimeRoot, tmp_path: Path
) -> None:
    own = settings_to_write(root)
    save_settings(root, own, heading="test")
    other = RuntimeRoot(tmp_path / "other")
    other.settings_file.parent.mkdir(parents=True)
    other.settings_file.write_bytes(root.settings_file.read_bytes())
    assert settings_to_write(other).environment_id != own.environment_id


def test_it_is_no_setting(root: RuntimeRoot) -> None:
    root.settings_file.parent.mkdir(parents=True)
    root.settings_file.write_text(f"environment_id: {'0e' * 10}\n")
    with pytest.raises(SettingsError, match="environment_id"):
        load_settings(root)


def test_changed_settings_are_still_those_of_their_environment(root: RuntimeRoot) -> None:
    settings = settings_to_write(root)
    assert settings.model_copy(update={"lab": True}).environment_id == settings.environment_id
    assert Settings().environment_id is None


def test_all_who_ask_at_once_get_the_same(root: RuntimeRoot) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: ensure_environment_id(root), range(32)))
    assert found == {find_environment_id(root)}


@pytest.mark.parametrize("content", [b"", b"\n", b"dev", b"0E" * 10, b"\xff" * 20, b"0e" * 40])
def test_what_is_none_is_refused_and_not_replaced(root: RuntimeRoot, content: bytes) -> None:
    root.environment_id_file.parent.mkdir(parents=True)
    root.environment_id_file.write_bytes(content)
    for ask in (find_environment_id, ensure_environment_id, load_settings):
        with pytest.raises(SettingsError, match="holds no environment's id"):
            ask(root)
    assert root.environment_id_file.read_bytes() == content


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_file_is_refused(root: RuntimeRoot, tmp_path: Path, kind: str) -> None:
    root.environment_id_file.parent.mkdir(parents=True)
    if kind == "directory":
        root.environment_id_file.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_text("0e" * 10)
        root.environment_id_file.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(root.environment_id_file)
    with pytest.raises(SettingsError, match="environment-id"):
        ensure_environment_id(root)
