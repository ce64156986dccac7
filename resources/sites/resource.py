"""The sites of every cloud as one Dagster resource, made of each cloud's own."""

from collections.abc import Mapping

import dagster as dg

from resources.sites.base import Places
from resources.sites.registry import CLOUDS

OpenSites = Mapping[str, Places]
"""The configured sites, by their cloud's name."""


def site_resources() -> dict[str, dg.ResourceDefinition]:
    """Return each cloud's resource under its name, and `sites`, which holds them all."""
    names = [cloud.name for cloud in CLOUDS]

    def opened(context: dg.InitResourceContext) -> OpenSites:
        return {name: getattr(context.resources, name) for name in names}

    return {cloud.name: cloud.resource() for cloud in CLOUDS} | {
        "sites": dg.ResourceDefinition(
            resource_fn=opened,
            config_schema={},
            required_resource_keys=set(names),
            description="The sites of pipeline.yml, of every cloud.",
        )
    }
