from pathlib import Path

import dagster as dg
import pytest

from hyops_assets.contract.feed_settings import FeedSettings
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import SettingsError
from resources.artifacts.resource import ArtifactStoreResource
from resources.feed.client import ReleaseFeed
from resources.feed.resource import ReleaseFeedResource
from resources.repository.directory import DirectoryRepository
from resources.repository.resource import ObjectRepositoryResource


def configure(tmp_path: Path, text: str) -> str:
    file = RuntimeRoot(tmp_path).settings_file
    file.parent.mkdir()
    file.write_text(text)
    return str(tmp_path)


def test_without_settings_the_repository_is_a_directory_below_the_root_and_nothing_is_made_yet(tmp_path: Path):
    repository = ObjectRepositoryResource(root=str(tmp_path)).create_resource(dg.build_init_resource_context())
    assert isinstance(repository, DirectoryRepository)
    assert repository.directory == RuntimeRoot(tmp_path).repository
    assert repository.public_base_url is None
    assert list(tmp_path.iterdir()) == []


def test_the_artifact_store_is_its_owner_s_alone(tmp_path: Path):
    root = tmp_path / "root"
    store = ArtifactStoreResource(root=str(root)).create_resource(dg.build_init_resource_context())
    assert store.directory == RuntimeRoot(root).artifacts
    for directory in (store.directory, store.directory.parent, root):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_the_settings_name_the_repository_and_its_public_url(tmp_path: Path):
    root = configure(tmp_path, "repository: {directory: /srv/objects, public_base_url: 'https://images.example'}")
    repository = ObjectRepositoryResource(root=root).create_resource(dg.build_init_resource_context())
    assert repository.url("network/vyos/x") == "https://images.example/network/vyos/x"


def test_the_settings_name_the_feed(tmp_path: Path):
    feed = ReleaseFeedResource(root=str(tmp_path)).create_resource(dg.build_init_resource_context())
    assert isinstance(feed, ReleaseFeed)
    assert feed.settings == FeedSettings()


@pytest.mark.parametrize("resource", [ObjectRepositoryResource, ReleaseFeedResource])
def test_settings_that_do_not_validate_are_refused(
    tmp_path: Path, resource: type[ObjectRepositoryResource | ReleaseFeedResource]
):
    root = configure(tmp_path, "repositories: {}")
    with pytest.raises(SettingsError, match="repositories"):
        resource(root=root).create_resource(dg.build_init_resource_context())
