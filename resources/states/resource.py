"""The state store as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from hyops_assets.contract.layout import RuntimeRoot
from resources.border import bordered
from resources.states.store import StateStore


class StateStoreResource(dg.ConfigurableResource[StateStore]):
    """The module states of one environment."""

    root: str = Field(description="runtime root of the environment")

    @bordered
    def create_resource(self, context: dg.InitResourceContext) -> StateStore:
        """Return the store."""
        return StateStore(RuntimeRoot(Path(self.root)))
