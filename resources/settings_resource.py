"""The settings as a Dagster resource: read at every run, so that a changed `pipeline.yml` needs no reload."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.build_settings import Command
from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from resources.environment_id import ensure_environment_id
from resources.repository.by_state import settings_of_run
from resources.settings import make_private


class SettingsResource(dg.ConfigurableResource[Settings]):
    """`pipeline.yml` of one environment; for a run that says so, with the repository of a state."""

    root: str = Field(description="runtime root of the environment")
    repo_state_ref: str = Field(default="", description="state that names this run's object repository")
    build_command: str = Field(default="", description="a line that makes this run's disk, in place of build.method")
    build_workdir: str = Field(default="", description="where it runs")
    build_env: list[str] = Field(default=[], description="variables of the host that it gets")

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Return the validated settings. A run writes somewhere: an environment without an id gets one now.

        Raises:
            SettingsError: the file does not validate.
            UnresolvedState, BadRepository: the state does not name a repository.
        """
        root = RuntimeRoot(Path(self.root))
        settings = settings_of_run(root, self.repo_state_ref).of_environment(ensure_environment_id(root))
        if not self.build_command:
            return settings
        configured = settings.build.command
        command = Command(
            build_command=self.build_command,
            build_workdir=Path(self.build_workdir) if self.build_workdir else _workdir(root),
            environment=self.build_env,
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
