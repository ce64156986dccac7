"""The settings as a Dagster resource: read at every run, so that a changed `pipeline.yml` needs no reload."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from resources.repository.by_state import settings_of_run


class SettingsResource(dg.ConfigurableResource[Settings]):
    """`pipeline.yml` of one environment; for a run that says so, with the repository of a state."""

    root: str = Field(description="runtime root of the environment")
    repo_state_ref: str = Field(default="", description="state that names this run's object repository")

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Return the validated settings.

        Raises:
            SettingsError: the file does not validate.
            UnresolvedState, BadRepository: the state does not name a repository.
        """
        return settings_of_run(RuntimeRoot(Path(self.root)), self.repo_state_ref)
