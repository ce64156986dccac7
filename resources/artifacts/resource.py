"""The artifact store as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.artifacts.store import ArtifactStore
from resources.border import bordered
from resources.settings import make_private


class ArtifactStoreResource(dg.ConfigurableResource[ArtifactStore]):
    """The store of one environment."""

    root: str = Field(description="runtime root of the environment")

    @bordered
    def create_resource(self, context: dg.InitResourceContext) -> ArtifactStore:
        """Return the store; its rooms appear when they are first written."""
        root = RuntimeRoot(Path(self.root))
        make_private(root.artifacts, below=root.path)
        return ArtifactStore(root.artifacts)
