"""The state store as a Dagster resource."""

import dagster as dg

from hyops_assets.contract.layout import RuntimeRoot
from resources.states.store import StateStore
from resources.without_config import without_config


def state_store(root: RuntimeRoot) -> dg.ResourceDefinition:
    """Return the resource of the module states of one environment."""
    return without_config(lambda _: StateStore(root), "The module states of this environment.")
