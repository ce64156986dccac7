"""The release feed as a Dagster resource."""

import dagster as dg

from resources.environment import of_environment
from resources.feed.client import ReleaseFeed


def release_feed() -> dg.ResourceDefinition:
    """Return the resource of the feed's client; it asks nothing yet.

    At each run it raises:
        SettingsError: `pipeline.yml` does not validate.
    """
    return of_environment(
        lambda environment: ReleaseFeed(environment.settings.feed),
        "The feed, mirror and allowed hosts that pipeline.yml names.",
    )
