"""The settings as a Dagster resource: read at every run, so that a changed `pipeline.yml` needs no reload."""

from pathlib import Path

import dagster as dg

from hyops_assets.contract.handed_over import HandedOver
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.settings.build import Command
from hyops_assets.settings.pipeline import Settings
from resources.environment_id import ensure_environment_id
from resources.handed_over import handed_over_to
from resources.repository.by_state import settings_of_run
from resources.settings import make_private
from resources.without_config import without_config


def settings_resource(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of one environment's settings, with what was handed over to the run in their place.

    At each run it raises:
        SettingsError: the file does not validate.
        NotHandedOver: the run names inputs that were not handed over to it.
        UnresolvedState, BadRepository: the state does not name a repository.
    """
    return without_config(
        lambda context: settings_with(handed_over_to(root, context.run), root), "pipeline.yml of this environment."
    )


def settings_with(handed_over: HandedOver, root: RuntimeRoot) -> Settings:
    """Return an environment's settings for a run that something was handed over to: repository and build command."""
    settings = settings_of_run(root, handed_over.repo_state_ref).of_environment(ensure_environment_id(root))
    if not handed_over.build_command:
        return settings
    configured = settings.build.command
    command = Command(
        build_command=handed_over.build_command,
        build_workdir=Path(handed_over.build_workdir) if handed_over.build_workdir else _workdir(root),
        environment=list(handed_over.required_env),
        # Whether its disk is complete, and whether it may emulate, is for whoever runs the environment to say.
        complete=configured.complete if configured else False,
        allow_tcg=configured.allow_tcg if configured else False,
        timeout_seconds=configured.timeout_seconds if configured else 7200,
    )
    return settings.model_copy(
        update={"build": settings.build.model_copy(update={"method": "command", "command": command})}
    )


def _workdir(root: RuntimeRoot) -> Path:
    """Return where a build command runs that names no directory: it exists once anything was built."""
    make_private(root.artifacts, below=root.path)
    return root.artifacts
