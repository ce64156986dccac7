"""How a module's work runs in the graph: on the environment's Dagster instance, with its steps shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import JsonValue

from hyops_assets.cli.modules.work import Done, Work
from hyops_assets.contract.inputs import BuildInputs, ImageSeedInputs, SeedInputs, TemplateSeedInputs

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
        repository = work.inputs.repo_state_ref if isinstance(work.inputs, BuildInputs) else ""
        yield Graph(
            work.place.root,
            instance,
            tags=_tags(work),
            repo_state_ref=repository,
            commands=commands(work.inputs) if isinstance(work.inputs, BuildInputs) else None,
        )


def commands(inputs: BuildInputs) -> dict[str, dict[str, object]]:
    """Return what the resources are told of the commands that build and publish in a run."""
    told: dict[str, dict[str, object]] = {}
    for resource, word in (("settings", "build"), ("repository", "publish")):
        if line := getattr(inputs, f"{word}_command"):
            told[resource] = {
                f"{word}_command": line,
                f"{word}_workdir": getattr(inputs, f"{word}_workdir"),
                f"{word}_env": list(inputs.required_env),
            }
    return told


def seed_command(inputs: SeedInputs) -> dict[str, object]:
    """Return what seeds in place of our own way, as the graph takes it; a reference has blanked it."""
    if not inputs.seed_command or inputs.record_state_ref:
        return {}
    return {
        "seed_command": inputs.seed_command,
        "seed_timeout_s": inputs.seed_timeout_s,
        "seed_env": list(inputs.required_env),
    }


def image_wishes(inputs: ImageSeedInputs) -> dict[str, object]:
    """Return what is asked of a Hetzner seed besides which record, as the graph takes it."""
    return {
        "image_ref": inputs.image_ref,
        "seed_if_missing": inputs.seed_if_missing,
        "seed_location": inputs.seed_location,
        "seed_server_type": inputs.seed_server_type,
        "wrapper_base_url": inputs.seed_wrapper_public_base_url,
        "wrapper_port": inputs.seed_wrapper_bind_port,
    }


def template_options(inputs: SeedInputs) -> dict[str, object]:
    """Return what was asked for one template, as the graph takes it: what was said, and nothing else."""
    return inputs.options.model_dump(exclude_defaults=True) if isinstance(inputs, TemplateSeedInputs) else {}


def smoke(inputs: BuildInputs) -> dict[str, object]:
    """Return what examines the disk besides our own gates, as the graph takes it."""
    if not inputs.smoke_verify_command:
        return {}
    return {
        "smoke_verify_command": inputs.smoke_verify_command,
        "smoke_verify_workdir": inputs.smoke_verify_workdir,
        "smoke_verify_required": inputs.smoke_verify_required,
        "smoke_verify_env": list(inputs.required_env),
    }


def _tags(work: Work) -> dict[str, str]:
    from hyops_assets.assets.asked import INSTANCE_TAG, MODULE_RUN_TAG, RECORD_STATE_TAG

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
