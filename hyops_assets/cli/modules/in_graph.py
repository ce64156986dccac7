"""How a module's work runs in the graph: on the environment's Dagster instance, with its steps shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyops_assets.cli.modules.work import Done, Work

if TYPE_CHECKING:
    from hyops_assets.cli.graph import Graph, Ran


@contextmanager
def graph_of(work: Work) -> Iterator["Graph"]:
    """Yield the graph, whose runs carry what the module's run is called and which slot it writes."""
    # Dagster takes seconds to load: only here, when inputs and references are known to be good.
    from hyops_assets.cli.graph import Graph
    from hyops_assets.cli.instance import open_instance
    from hyops_assets.cli.progress import shown

    with shown(work.place.console), open_instance(work.place.root) as instance:
        yield Graph(work.place.root, instance)


def done(ran: "Ran") -> Done:
    """Return what a run of the graph came to; it committed the state itself."""
    outcomes = {asset: str(said.get("outcome", "")) for asset, said in ran.metadata.items()}
    return Done(driver={"dagster_run_id": ran.run_id, "assets": outcomes})
