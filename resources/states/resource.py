"""The state store as a Dagster resource."""

import dagster as dg

from resources.environment import of_environment
from resources.states.store import StateStore


def state_store() -> dg.ResourceDefinition:
    """Return the resource of the module states of one environment."""
    return of_environment(lambda environment: StateStore(environment.root), "The module states of this environment.")
