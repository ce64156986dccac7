"""Documents between assets: a pydantic model per asset and partition, kept in the artifact store as JSON.

Bytes never pass through here; documents name blobs by digest.
"""

from typing import get_args

import dagster as dg
from pydantic import BaseModel

from hyops_assets.contract.errors import LeadsNowhere
from resources.artifacts.store import ArtifactStore
from resources.environment import NAME
from resources.error_border import bordered


class DocumentIOManager(dg.IOManager):
    """Writes what an asset returns and reads it for the assets and checks downstream of it."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    @bordered
    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Write the document of this asset and partition."""
        path = self._store.write_document(context.asset_key.to_user_string(), context.asset_partition_key, obj)
        context.add_output_metadata({"document": dg.MetadataValue.path(path)})

    @bordered
    def load_input(self, context: dg.InputContext) -> BaseModel | None:
        """Read the document of the upstream asset's partition; None for one that may be missing and is.

        Raises:
            MissingArtifact: it was never materialized here.
        """
        kind, name = context.asset_key.to_user_string(), context.asset_partition_key
        wanted = context.dagster_type.typing_type
        optional = [model for model in get_args(wanted) if model is not type(None)]
        if optional:
            return self._store.find_document(kind, name, optional[0])
        try:
            return self._store.read_document(kind, name, wanted)
        except LeadsNowhere as error:
            error.of_partition(name)
            raise


def documents() -> dg.IOManagerDefinition:
    """Return the IO manager of one environment."""
    return dg.IOManagerDefinition(
        resource_fn=lambda context: DocumentIOManager(ArtifactStore(context.resources.environment.root.artifacts)),
        config_schema={},
        required_resource_keys={NAME},
        description="Documents between assets, in the artifact store.",
    )
