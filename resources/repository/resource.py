"""The object repository as a Dagster resource."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.image.operator_command import OperatorCommand
from hyops_assets.settings.pipeline import Settings
from hyops_assets.settings.repository import RepositorySettings
from resources.artifacts.store import ArtifactStore
from resources.environment import Environment, of_environment
from resources.repository.base import ObjectRepository
from resources.repository.command_repository import CommandRepository
from resources.repository.directory import DirectoryRepository


def repository_resource() -> dg.ResourceDefinition:
    """Return the resource of the repository that `pipeline.yml` names; a directory below the root where it names none.

    For a run that something was handed over to, the one that a state names, or what a command publishes into. A
    directory appears when the first object is created, a bucket has to be there. At each run it raises:
        SettingsError: `pipeline.yml` does not validate.
        NotHandedOver: the run names inputs that were not handed over to it.
        UnresolvedState, BadRepository: the state does not name a repository.
        BadKey: the environment names a key for the bucket that is none.
    """

    def opened(environment: Environment) -> Iterator[ObjectRepository]:
        with closing(_repository(environment)) as repository:
            yield repository

    return of_environment(opened, "Where records are published.")


def _repository(environment: Environment) -> ObjectRepository:
    handed_over, settings, root = environment.handed_over, environment.settings, environment.root
    if not handed_over.publish_command:
        return object_repository(settings.repository, root, os.environ)
    workdir = Path(handed_over.publish_workdir) if handed_over.publish_workdir else None
    command = OperatorCommand(handed_over.publish_command, workdir, list(handed_over.required_env))
    return command_repository(command, settings, root)


def command_repository(command: OperatorCommand, settings: Settings, root: RuntimeRoot) -> CommandRepository:
    """Return the repository whose objects a command publishes; it is given which one the settings name."""
    return CommandRepository(
        command,
        notes=root.path / "work" / "published-by-command",
        below=root.path,
        scratch=ArtifactStore(root.artifacts).scratch_directory,
        keys=[settings.build.record_key, settings.build.stream_record_key],
        variables={
            "HYOPS_VYOS_REPO_BACKEND": "" if settings.repository.kind == "directory" else settings.repository.kind,
            "HYOPS_VYOS_GCS_BUCKET": _bucket_of(settings, "gcs"),
            "HYOPS_VYOS_S3_BUCKET": _bucket_of(settings, "s3"),
        },
    )


def _bucket_of(settings: Settings, kind: str) -> str:
    repository = settings.repository
    return repository.bucket or "" if repository.kind == kind else ""


def object_repository(settings: RepositorySettings, root: RuntimeRoot, environ: Mapping[str, str]) -> ObjectRepository:
    """Return the repository that settings name.

    Raises:
        BadKey: the environment names a key for the bucket that is none.
    """
    if settings.kind == "s3":
        # botocore takes most of a second to load: only who has such a bucket waits for it.
        from resources.repository.s3 import s3_repository

        return s3_repository(settings, environ, notes=root.path / "work" / "uploads-begun")
    if settings.kind == "gcs":
        # Google's libraries take a second to load, dagster-gcp several: only who has a bucket waits for them.
        from resources.repository.gcs_clients import gcs_repository

        return gcs_repository(settings, environ)
    return DirectoryRepository(settings.directory or root.repository, settings.public_base_url)
