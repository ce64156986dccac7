"""How a module's work runs in the graph: on the environment's Dagster instance, with its steps shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import JsonValue

from hyops_assets.cli.modules.work import Done, Work
from hyops_assets.contract.handed_over import BuildCommands, HandedOver, SeedCommand
from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs, ModuleInputs, SeedInputs
from resources.sites.registry import row_of

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
        yield Graph(work.place.root, instance, tags=_tags(work), handed_over=handed_over(work.inputs))


def handed_over(inputs: ModuleInputs) -> HandedOver:
    """Return what of a module's inputs has power: its run is handed it over in private, no configuration holds it."""
    if isinstance(inputs, BuildInputs):
        named = (*BuildCommands.model_fields, "required_env", "repo_state_ref")
        return HandedOver.model_validate({name: getattr(inputs, name) for name in named})
    if not isinstance(inputs, SeedInputs):
        return HandedOver()
    given: dict[str, object] = {}
    if isinstance(inputs, ImageSeedInputs) and inputs.seed_wrapper_public_base_url:
        given = {
            "wrapper_base_url": inputs.seed_wrapper_public_base_url,
            "wrapper_port": inputs.seed_wrapper_bind_port,
        }
    if seeds_by_command(inputs):
        given |= {name: getattr(inputs, name) for name in (*SeedCommand.model_fields, "required_env")}
    return HandedOver.model_validate(given)


def seeds_by_command(inputs: SeedInputs) -> bool:
    """Tell whether a command seeds in place of our own way; a reference has blanked it."""
    return bool(inputs.seed_command) and not inputs.record_state_ref


def options_of(inputs: SeedInputs) -> dict[str, object]:
    """Return what is asked of a seed besides which record, as the graph takes it: what was said, and nothing else."""
    fields = row_of(inputs.cloud).options.model_fields
    return inputs.model_dump(include=set(fields), exclude_defaults=True)


def _tags(work: Work) -> dict[str, str]:
    from hyops_assets.assets.run_tags import INSTANCE_TAG, MODULE_RUN_TAG, RECORD_STATE_TAG

    tags = {MODULE_RUN_TAG: work.run_id}
    if isinstance(work.inputs, SeedInputs) and work.inputs.record_state_ref:
        tags[RECORD_STATE_TAG] = work.inputs.record_state_ref
    if work.another_slot and work.ref.instance:
        tags[INSTANCE_TAG] = work.ref.instance
    return tags


def done(ran: "Ran") -> Done:
    """Return what a run of the graph came to; it committed the state itself."""
    return Done(driver=driver_result(ran))


def driver_result(ran: "Ran") -> dict[str, JsonValue]:
    """Return what a run record keeps of a run of the graph: its id, and each asset's outcome."""
    outcomes: dict[str, JsonValue] = {asset: str(said.get("outcome", "")) for asset, said in ran.metadata.items()}
    return {"dagster_run_id": ran.run_id, "assets": outcomes}
