"""The release feed as a Dagster resource."""

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from resources.feed.client import ReleaseFeed
from resources.settings import load_settings
from resources.without_config import without_config


def release_feed(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of the feed's client; it asks nothing yet.

    At each run it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return without_config(
        lambda _: ReleaseFeed(load_settings(root).feed), "The feed, mirror and allowed hosts that pipeline.yml names."
    )
