"""The artifact store as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.artifacts.store import ArtifactStore


class ArtifactStoreResource(dg.ConfigurableResource[ArtifactStore]):
    """The store of one environment."""

    root: str = Field(description="runtime root of the environment")

    def create_resource(self, context: dg.InitResourceContext) -> ArtifactStore:
        """Return the store; its directories appear when they are first written."""
        return ArtifactStore(RuntimeRoot(Path(self.root)).artifacts)
