"""`forget_partition` in the UI: what `hyops forget` does, as a job with one step."""

from typing import Annotated

import dagster as dg
from pydantic import Field, StringConstraints

from hyops_assets.assets.run_config import RunOptions, fields_of
from hyops_assets.contract.canonical import Frozen
from hyops_assets.seeds.forgetting import Partition, forget, references
from hyops_assets.settings.pipeline import Settings
from resources.artifacts.store import ArtifactStore
from resources.error_border import bordered
from resources.states.store import StateStore


class Forgetting(Frozen):
    """Which partition, and whether it is forgotten or only what refers to it is listed."""

    # As free as the dialog that adds one: it is looked up among those that exist, and goes nowhere else.
    partition: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=255)] = Field(
        default="", description="a record version, or proxmox/<site> or hetzner/<site>"
    )
    apply: bool = Field(default=False, description="forget it; otherwise what refers to it is listed")
    referred_to: bool = Field(default=False, description="forget it although documents or states refer to it")


@dg.op(name="forget", config_schema=fields_of(Forgetting))
@bordered
def forget_partition_op(
    context: dg.OpExecutionContext,
    asked: dg.ResourceParam[RunOptions],
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[ArtifactStore],
    states: dg.ResourceParam[StateStore],
) -> None:
    """List what refers to a partition, then take it out of dialogs and grids if that is asked for."""
    wish = asked.of(Forgetting)
    partition = Partition.parse(wish.partition)
    found = references(partition, context.instance, store, states, settings)
    for one in found:
        context.log.warning("%s: %s", partition, one.what)
    if wish.apply:
        forget(partition, found, context.instance, referred_to=wish.referred_to)
    context.log.info(
        "%s %s; %d things refer to it",
        partition,
        "is forgotten" if wish.apply else "stays: apply forgets it",
        len(found),
    )


@dg.job
def forget_partition() -> None:
    """Take a mistyped version or a removed site out of dialogs and grids; what refers to it is listed first."""
    forget_partition_op()
