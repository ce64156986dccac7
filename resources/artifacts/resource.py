"""The artifact store as a Dagster resource."""

import dagster as dg

from resources.artifacts.store import ArtifactStore
from resources.environment import Environment, of_environment
from resources.settings import make_private


def artifact_store() -> dg.ResourceDefinition:
    """Return the resource of the store of one environment; its rooms appear when they are first written."""

    def store(environment: Environment) -> ArtifactStore:
        make_private(environment.root.artifacts, below=environment.root.path)
        return ArtifactStore(environment.root.artifacts)

    return of_environment(store, "The artifact store of this environment.")
