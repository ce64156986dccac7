"""The object repository as a Dagster resource."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import RepositorySettings
from resources.repository.base import ObjectRepository
from resources.repository.by_state import settings_of_run
from resources.repository.directory import DirectoryRepository


class ObjectRepositoryResource(dg.ConfigurableResource[ObjectRepository]):
    """The repository that `pipeline.yml` names; a directory below the runtime root where it names none.

    For a run that says so, the one that a state names.
    """

    root: str = Field(description="runtime root of the environment")
    repo_state_ref: str = Field(default="", description="state that names this run's object repository")

    def create_resource(self, context: dg.InitResourceContext) -> ObjectRepository:
        """Return the repository; a directory appears when the first object is created, a bucket has to be there.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
            UnresolvedState, BadRepository: the state does not name a repository.
            BadKey: the environment names a key for the bucket that is none.
        """
        root = RuntimeRoot(Path(self.root))
        return object_repository(settings_of_run(root, self.repo_state_ref).repository, root, os.environ)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ObjectRepository]:
        """Yield the repository, and close its connections afterwards."""
        with closing(self.create_resource(context)) as repository:
            yield repository


def object_repository(settings: RepositorySettings, root: RuntimeRoot, environ: Mapping[str, str]) -> ObjectRepository:
    """Return the repository that settings name.

    Raises:
        BadKey: the environment names a key for the bucket that is none.
    """
    if settings.kind == "gcs":
        # Google's libraries take a second to load, dagster-gcp several: only who has a bucket waits for them.
        from resources.repository.gcs_clients import gcs_repository

        return gcs_repository(settings, environ)
    return DirectoryRepository(settings.directory or root.repository, settings.public_base_url)
