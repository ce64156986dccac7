"""The object repository as a Dagster resource."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.repository_settings import RepositorySettings
from hyops_assets.contract.settings import Settings
from hyops_assets.image.operator_command import OperatorCommand
from resources.border import bordered
from resources.repository.base import ObjectRepository
from resources.repository.by_command import CommandRepository
from resources.repository.by_state import settings_of_run
from resources.repository.directory import DirectoryRepository


class ObjectRepositoryResource(dg.ConfigurableResource[ObjectRepository]):
    """The repository that `pipeline.yml` names; a directory below the runtime root where it names none.

    For a run that says so, the one that a state names.
    """

    root: str = Field(description="runtime root of the environment")
    repo_state_ref: str = Field(default="", description="state that names this run's object repository")
    publish_command: str = Field(default="", description="a line that publishes each object, in place of both")
    publish_workdir: str = Field(default="", description="where it runs")
    publish_env: list[str] = Field(default=[], description="variables of the host that it gets")

    @bordered
    def create_resource(self, context: dg.InitResourceContext) -> ObjectRepository:
        """Return the repository; a directory appears when the first object is created, a bucket has to be there.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
            UnresolvedState, BadRepository: the state does not name a repository.
            BadKey: the environment names a key for the bucket that is none.
        """
        root = RuntimeRoot(Path(self.root))
        settings = settings_of_run(root, self.repo_state_ref)
        if self.publish_command:
            workdir = Path(self.publish_workdir) if self.publish_workdir else None
            command = OperatorCommand(self.publish_command, workdir, self.publish_env)
            return command_repository(command, settings, root)
        return object_repository(settings.repository, root, os.environ)

    @contextmanager
    @bordered
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[ObjectRepository]:
        """Yield the repository, and close its connections afterwards."""
        with closing(self.create_resource(context)) as repository:
            yield repository


def command_repository(command: OperatorCommand, settings: Settings, root: RuntimeRoot) -> CommandRepository:
    """Return the repository whose objects a command publishes; it is told which one the settings name."""
    return CommandRepository(
        command,
        notes=root.path / "work" / "published-by-command",
        below=root.path,
        keys=[settings.build.record_key, settings.build.stream_record_key],
        told={
            "HYOPS_VYOS_REPO_BACKEND": settings.repository.kind if settings.repository.kind == "gcs" else "",
            "HYOPS_VYOS_GCS_BUCKET": settings.repository.bucket or "",
        },
    )


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
