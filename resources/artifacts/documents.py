"""Documents between assets: a pydantic model per asset and partition, kept in the artifact store as JSON.

Bytes never pass through here; documents name blobs by digest.
"""

from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.artifacts.store import ArtifactStore


class DocumentIOManager(dg.ConfigurableIOManager):
    """Writes what an asset returns and reads it for the assets and checks downstream of it."""

    root: str = Field(description="runtime root of the environment")

    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Write the document of this asset and partition."""
        path = self._store.write_document(context.asset_key.to_user_string(), context.asset_partition_key, obj)
        context.add_output_metadata({"document": dg.MetadataValue.path(path)})

    def load_input(self, context: dg.InputContext) -> BaseModel:
        """Read the document of the upstream asset's partition.

        Raises:
            MissingArtifact: it was never materialized here.
        """
        model = context.dagster_type.typing_type
        return self._store.read_document(context.asset_key.to_user_string(), context.asset_partition_key, model)

    @property
    def _store(self) -> ArtifactStore:
        return ArtifactStore(RuntimeRoot(Path(self.root)).artifacts)
