from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.feed import FeedSettings
from hyops_assets.settings.pipeline import SettingsError
from resources.artifacts.resource import artifact_store
from resources.environment import environment
from resources.feed.client import ReleaseFeed
from resources.feed.resource import release_feed
from resources.repository.directory import DirectoryRepository
from resources.repository.resource import repository_resource


def made(resource: dg.ResourceDefinition, root: RuntimeRoot) -> Any:
    """What the graph gets in an environment, as long as it runs."""
    with dg.build_resources({"environment": environment(root), "it": resource}) as resources:
        return resources.it


def configure(tmp_path: Path, text: str) -> RuntimeRoot:
    file = RuntimeRoot(tmp_path).settings_file
    file.parent.mkdir()
    file.write_text(text)
    return RuntimeRoot(tmp_path)


def test_without_settings_the_repository_is_a_directory_below_the_root_and_nothing_is_made_yet(tmp_path: Path):
    repository = made(repository_resource(), RuntimeRoot(tmp_path))
    assert isinstance(repository, DirectoryRepository)
    assert repository.directory == RuntimeRoot(tmp_path).repository
    assert repository.public_base_url is None
    assert list(tmp_path.iterdir()) == []


def test_the_artifact_store_is_its_owner_s_alone(tmp_path: Path):
    root = tmp_path / "root"
    store = made(artifact_store(), RuntimeRoot(root))
    assert store.directory == RuntimeRoot(root).artifacts
    for directory in (store.directory, store.directory.parent, root):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_the_settings_name_the_repository_and_its_public_url(tmp_path: Path):
    root = configure(tmp_path, "repository: {directory: /srv/objects, public_base_url: 'https://images.example'}")
    repository = made(repository_resource(), root)
    assert repository.url("network/vyos/x") == "https://images.example/network/vyos/x"


def test_the_settings_name_the_feed(tmp_path: Path):
    feed = made(release_feed(), RuntimeRoot(tmp_path))
    assert isinstance(feed, ReleaseFeed)
    assert feed.settings == FeedSettings()


@pytest.mark.parametrize("resource", [repository_resource, release_feed])
def test_settings_that_do_not_validate_are_refused(tmp_path: Path, resource: Callable[[], dg.ResourceDefinition]):
    root = configure(tmp_path, "repositories: {}")
    with pytest.raises(dg.DagsterError) as caught:
        made(resource(), root)
    assert isinstance(caught.value.__cause__, SettingsError)
    assert "repositories" in caught.value.__cause__.message
