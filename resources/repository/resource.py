"""The object repository as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.repository.base import ObjectRepository
from resources.repository.directory import DirectoryRepository
from resources.settings import load_settings


class ObjectRepositoryResource(dg.ConfigurableResource[ObjectRepository]):
    """The repository that `pipeline.yml` names; a directory below the runtime root where it names none."""

    root: str = Field(description="runtime root of the environment")

    def create_resource(self, context: dg.InitResourceContext) -> ObjectRepository:
        """Return the repository; its directory appears when the first object is created.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
        """
        root = RuntimeRoot(Path(self.root))
        settings = load_settings(root).repository
        return DirectoryRepository(settings.directory or root.repository, settings.public_base_url)
