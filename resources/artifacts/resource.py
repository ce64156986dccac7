"""The artifact store as a Dagster resource."""

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from resources.artifacts.store import ArtifactStore
from resources.settings import make_private
from resources.without_config import without_config


def artifact_store(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of the store of one environment; its rooms appear when they are first written."""

    def store(_: dg.InitResourceContext) -> ArtifactStore:
        make_private(root.artifacts, below=root.path)
        return ArtifactStore(root.artifacts)

    return without_config(store, "The artifact store of this environment.")
