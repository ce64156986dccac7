"""The release feed as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.border import bordered
from resources.feed.client import ReleaseFeed
from resources.settings import load_settings


class ReleaseFeedResource(dg.ConfigurableResource[ReleaseFeed]):
    """The feed, mirror and allowed hosts that `pipeline.yml` names."""

    root: str = Field(description="runtime root of the environment")

    @bordered
    def create_resource(self, context: dg.InitResourceContext) -> ReleaseFeed:
        """Return the feed's client; nothing is asked yet.

        Raises:
            SettingsError: `pipeline.yml` does not validate.
        """
        return ReleaseFeed(load_settings(RuntimeRoot(Path(self.root))).feed)
