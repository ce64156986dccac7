"""From a command line to a module's run: resolved and validated, with nothing changed. Loads no Dagster."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyops_assets.cli import extras
from hyops_assets.cli.environment import Place
from hyops_assets.cli.inputs import Layers, read_layers
from hyops_assets.cli.modules.registry import Module, find_module
from hyops_assets.cli.modules.work import Work
from hyops_assets.cli.run_record import new_run_id
from hyops_assets.cli.usage import BadUsage, before_the_run
from hyops_assets.contract.hybridops_inputs import by_hybridops_names
from hyops_assets.contract.inputs import ModuleInputs, read_inputs
from hyops_assets.contract.redaction import Redactor
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.resolution import Resolution, resolve_inputs
from hyops_assets.settings.pipeline import Settings
from resources.secrets import named_in, remember
from resources.settings import load_settings
from resources.states.store import StateStore

MUTATING = frozenset({"apply"})
_MOST_REASON = 500


@dataclass(frozen=True)
class ModuleCommand:
    """A command line of `validate`, `plan`, `apply` or `preflight --module`, as it was given.

    Attributes:
        command: `validate`, `plan`, `apply`, `preflight`; `deploy` is another word for `apply`.
        place: the environment.
        module: module reference, with or without `#<instance>`.
        inputs: the operator's file.
        state_instance: of `--state-instance`; empty where it was not given.
        module_root: where specs lie; None for `modules`, where it is there.
        skip_preflight: of `--skip-preflight`.
        bypass_reason: of `--preflight-bypass-reason`.
        out_dir: where the run record goes, in place of the runtime root.
    """

    command: str
    place: Place
    module: str
    inputs: Path | None = None
    state_instance: str = ""
    module_root: Path | None = None
    skip_preflight: bool = False
    bypass_reason: str = ""
    out_dir: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A module's run that may start.

    Attributes:
        asked: the command line.
        module: its row in the registry.
        work: what the module is given.
        layers: its inputs before any state had its say.
        resolution: what the state references decided, and those that lead nowhere.
        redactor: knows this environment's secrets.
    """

    asked: ModuleCommand
    module: Module
    work: Work
    layers: Layers
    resolution: Resolution
    redactor: Redactor


def prepare(asked: ModuleCommand, environ: Mapping[str, str] = os.environ) -> Prepared:
    """Read, resolve and validate everything that a module's run needs.

    References that lead nowhere stand in `resolution.unresolved`: the caller decides whether to go on.

    Raises:
        BadUsage: the command line contradicts itself, or skips preflight without a reason.
        NotStarted: an unknown module, wrong inputs, wrong settings; the cause says which.
    """
    _require_reason(asked)
    with before_the_run():
        ref = _slot_asked_for(asked)
        module = find_module(ref.module)
        layers = read_layers(module, asked.inputs, asked.module_root, environ)
        states = StateStore(asked.place.root)
        resolution = resolve_inputs(module.inputs, layers.merged, states.find, states.list)
        inputs = read_inputs(module.ref, module.inputs, resolution.inputs)
        settings = load_settings(asked.place.root)
        own = module.instance(inputs, settings, ref.instance)
    slot = StateRef(module.ref, ref.instance or own)
    work = Work(
        asked.place,
        slot,
        inputs,
        settings,
        resolution.states,
        new_run_id(asked.command),
        another_slot=slot.instance != own,
    )
    return Prepared(asked, module, work, layers, resolution, redactor_of(settings, inputs, environ))


def redactor_of(settings: Settings, inputs: ModuleInputs | None, environ: Mapping[str, str]) -> Redactor:
    """Return what keeps this environment's secrets out of files: those of its sites and builders, and the inputs'."""
    named = [*named_in(settings), *(inputs.required_env if inputs else ())]
    remember(named)
    return Redactor(environ, named)


def reach(prepared: Prepared) -> Prepared:
    """Let this process reach the lab, where the settings are a lab's; its tokens count as secrets from then on."""
    settings = prepared.work.settings
    reach_environment(prepared.asked.place, settings)
    return replace(prepared, redactor=redactor_of(settings, prepared.work.inputs, os.environ))


def reach_environment(place: Place, settings: Settings) -> None:
    """Put a running lab's variables into this process, where the settings are a lab's."""
    if settings.lab:
        extras.lab().reach(place.root)


def inputs_document(prepared: Prepared) -> dict[str, Any]:
    """Return the inputs as this run takes them, aliases folded, references resolved, defaults in place."""
    return prepared.work.inputs.model_dump(mode="json")


def inputs_by_both_names(prepared: Prepared) -> dict[str, Any]:
    """Return the inputs as `resolved.inputs.yml` holds them: by our names, and by HybridOps'.

    Its blueprints compare their own inputs, `artifact_*` and some that mean nothing here, with the file that a state
    points at, and apply a module again over its slot where one of them is missing or another.
    """
    taken = inputs_document(prepared)
    decided = prepared.resolution.decided
    # What was given and has no say here stands there as it was given, unless a reference decides it.
    said = {
        name: value for name, value in prepared.layers.given.items() if name not in decided and not taken.get(name)
    }
    ours = by_hybridops_names(taken, prepared.work.inputs) | taken | said
    artifacts = {f"artifact_{name.removeprefix('record_')}": ours[name] for name in ours if name.startswith("record_")}
    return ours | artifacts


def _slot_asked_for(asked: ModuleCommand) -> StateRef:
    """Return module and instance; `--state-instance x` and `#x` are two spellings of one thing."""
    ref = StateRef.parse(asked.module)
    if not asked.state_instance:
        return ref
    named = StateRef.parse(f"{ref.module}#{asked.state_instance}")
    if ref.instance not in (None, named.instance):
        raise BadUsage(
            f"--module names the state instance {ref.instance}, --state-instance {named.instance}",
            hint="name it once",
        )
    return named


def _require_reason(asked: ModuleCommand) -> None:
    reason = asked.bypass_reason
    if len(reason) > _MOST_REASON or not reason.isprintable():
        raise BadUsage(
            f"--preflight-bypass-reason has to be one printable line of at most {_MOST_REASON} characters",
            hint="say in one line why preflight is skipped",
        )
    if asked.skip_preflight and asked.command in MUTATING and not reason.strip():
        raise BadUsage(
            f"--skip-preflight with {asked.command} needs a reason",
            hint="add --preflight-bypass-reason '<why>', or leave --skip-preflight out",
        )
