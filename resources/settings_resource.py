"""The settings as a Dagster resource: read at every run, so that a changed `pipeline.yml` needs no reload."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from hyops_assets.contract.settings import Settings
from resources.settings import load_settings


class SettingsResource(dg.ConfigurableResource[Settings]):
    """`pipeline.yml` of one environment."""

    root: str = Field(description="runtime root of the environment")

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Return the validated settings.

        Raises:
            SettingsError: the file does not validate.
        """
        return load_settings(RuntimeRoot(Path(self.root)))
