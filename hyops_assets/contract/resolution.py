"""What a state reference makes of a module's inputs: the reference decides, whatever else is set.

Pure: a state is found by the caller. Rules of the source document ("Important behavior"): stale rerun values such
as `record_url`, `record_sha256`, `record_version`, `image_source_url` and `seed_command` must not override the record
that `record_state_ref` names; `image_state_ref` and `template_state_ref` decide for the edges in the same way. What
the upstream state does not say is cleared, so that nothing stale survives a rerun.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hyops_assets.contract.consumed import (
    UnresolvedState,
    failed_since,
    may_be_consumed,
    named_entry,
    require_ready,
    resolve_record,
    text_of,
)
from hyops_assets.contract.hybridops_inputs import key_by_its_other_names
from hyops_assets.contract.inputs import ModuleInputs, fold_aliases
from hyops_assets.contract.references import StateRef
from hyops_assets.contract.state import ModuleState

FindState = Callable[[StateRef], ModuleState | None]
"""How a state is found; None where there is none."""

ListStates = Callable[[], Sequence[tuple[StateRef, ModuleState]]]
"""How the states of an environment are listed."""

_FINDS_THE_ONLY_ONE = {"repo_state_ref"}
"""References that may leave the instance out where there is no choice; every other one then means `latest.json`."""

_CONTENT: Mapping[str, tuple[str, str]] = {"qcow2": ("qcow2", "none"), "raw.xz": ("raw", "xz")}
"""A variant as HybridOps' seeds put it: `image_format` and `image_compression`."""
_COMMANDS = ("build_command", "smoke_verify_command", "publish_command", "seed_command")


@dataclass(frozen=True)
class Resolution:
    """Inputs in which every state reference had its say.

    Attributes:
        inputs: `artifact_*` folded into `record_*`, everything that a reference decides overwritten or cleared.
        states: what the references lead to, by the input's name; each may be consumed.
        overruled: a line for each input that was given and does not count, and for each state whose last run failed.
        unresolved: the references that lead to nothing that may be consumed.
        decided: what the references decided, by input; HybridOps' names for it too.
    """

    inputs: Mapping[str, Any]
    states: Mapping[str, ModuleState]
    overruled: tuple[str, ...] = ()
    unresolved: tuple[UnresolvedState, ...] = ()
    decided: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def require(self) -> "Resolution":
        """Return this, if every reference resolved.

        Raises:
            UnresolvedState: the first one that did not.
        """
        if self.unresolved:
            raise self.unresolved[0]
        return self


@dataclass
class _Resolving:
    """A resolution in the making."""

    model: type[ModuleInputs]
    inputs: dict[str, Any]
    states: dict[str, ModuleState] = field(default_factory=dict[str, ModuleState])
    overruled: list[str] = field(default_factory=list[str])
    decided: dict[str, Any] = field(default_factory=dict[str, Any])

    def decide(self, name: str, reference: StateRef, decided: Mapping[str, Any]) -> None:
        """Overwrite what the reference decides, as far as this module takes it; say what does not count."""
        self.decided |= decided
        for key, value in decided.items():
            known = self.model.model_fields.get(key)
            if known is None and key not in self.inputs:
                continue
            default = known.default if known else ""
            given = self.inputs.get(key)
            # What only repeats the spec's default was not asked for.
            if given not in (None, "", value, default):
                # The given value stays unprinted: a signed URL is a secret, and so may be a command's text.
                instead = f"it says {value}" if value else "it names none"
                self.overruled.append(f"{key} is ignored: {name}={reference} decides, and {instead}")
            if known is None:
                # A name of HybridOps for what this module calls otherwise: nothing is left of it to be validated.
                del self.inputs[key]
            else:
                self.inputs[key] = default if value == "" else value


def resolve_inputs(
    model: type[ModuleInputs],
    given: Mapping[str, Any],
    find: FindState,
    states: ListStates = lambda: (),
) -> Resolution:
    """Let every state reference of a module's inputs decide what it decides. Runs before the inputs are validated.

    Args:
        model: of the module's inputs; a reference that stands in its defaults counts too.
        given: what the operator gave, unvalidated.
        find: how a state is found.
        states: how all states are listed, for a reference that need not say which one of its module it means.

    Raises:
        BadInputs: an alias and its name are set to different values.
        BadReference: an input that should be a state reference is none.
        BadUrl: the state names a URL that may not stand in a contract.
    """
    resolving = _Resolving(model, key_by_its_other_names(fold_aliases(given), model.model_fields))
    unresolved: list[UnresolvedState] = []
    for name, decide in _DECIDING.items():
        text = _effective(model, resolving.inputs, name)
        if not text:
            continue
        reference = StateRef.parse(text)
        try:
            if name in _FINDS_THE_ONLY_ONE:
                reference = only_ready(reference, states)
                resolving.inputs[name] = str(reference)
            state = require_ready(reference, find(reference))
            decided = decide(resolving, reference, state)
            resolving.states[name] = state
            if failed := failed_since(reference, state):
                resolving.overruled.append(failed)
        except UnresolvedState as error:
            unresolved.append(error)
            decided = dict.fromkeys(_DECIDED[name], "")
        resolving.decide(name, reference, decided)
    return Resolution(
        resolving.inputs, resolving.states, tuple(resolving.overruled), tuple(unresolved), resolving.decided
    )


def only_ready(reference: StateRef, states: ListStates) -> StateRef:
    """Return which state a reference without an instance means: the only one of its module that is ready.

    One that names an instance is returned as it is, and so is one that nothing ready stands for.

    Raises:
        UnresolvedState: several are ready, so the reference is ambiguous; they are listed.
    """
    if reference.instance is not None:
        return reference
    ready = [one for one, state in states() if one.module == reference.module and may_be_consumed(state)]
    if len(ready) > 1:
        raise UnresolvedState(
            f"{reference} is ambiguous: {', '.join(str(one) for one in ready)} are ready",
            hint="name one of them, with its #instance",
        )
    return ready[0] if ready else reference


def _record(resolving: _Resolving, reference: StateRef, state: ModuleState) -> dict[str, Any]:
    key = _effective(resolving.model, resolving.inputs, "record_key")
    found = resolve_record(reference, state, key, resolving.model.takes)
    format_, compression = _CONTENT.get(found.format, ("", ""))
    return {
        **dict.fromkeys(_DECIDED["record_state_ref"], ""),
        "record_key": found.key,
        "record_url": found.url,
        "record_format": found.format,
        "record_version": found.version,
        "record_sha256": found.sha256,
        "source_iso_url": found.source_iso_url,
        "image_source_url": found.url,
        "template_source_url": found.url,
        "image_version": found.version,
        "template_image_version": found.version,
        "image_format": format_,
        "image_compression": compression,
    }


def _image(resolving: _Resolving, reference: StateRef, state: ModuleState) -> dict[str, Any]:
    key = _effective(resolving.model, resolving.inputs, "image_key")
    image = text_of(named_entry(reference, state.outputs, key, {"images": "image"}), "ref")
    if not image:
        raise UnresolvedState(f"{reference} names no image of {key!r}", hint=f"apply {reference.module} again")
    return {"image": image}


def _template(resolving: _Resolving, reference: StateRef, state: ModuleState) -> dict[str, Any]:
    key = _effective(resolving.model, resolving.inputs, "template_key")
    vmid = named_entry(reference, state.outputs, key, {"templates": "template"}).get("vm_id")
    if not isinstance(vmid, int) or isinstance(vmid, bool) or vmid <= 0:
        raise UnresolvedState(f"{reference} names no template of {key!r}", hint=f"apply {reference.module} again")
    return {"template_vm_id": vmid}


def _ready(resolving: _Resolving, reference: StateRef, state: ModuleState) -> dict[str, Any]:
    """Decide nothing here: the module reads what it needs from the state."""
    return {}


_DECIDING: Mapping[str, Callable[[_Resolving, StateRef, ModuleState], dict[str, Any]]] = {
    "repo_state_ref": _ready,
    "record_state_ref": _record,
    "image_state_ref": _image,
    "template_state_ref": _template,
    "foundation_state_ref": _ready,
}
"""Every reference that an input may be, and what it decides."""

_DECIDED: Mapping[str, tuple[str, ...]] = {
    "repo_state_ref": (),
    "record_state_ref": (
        "record_url",
        "record_format",
        "record_version",
        "record_sha256",
        "record_local_path",
        "source_iso_url",
        "image_source_url",
        "template_source_url",
        "image_version",
        "template_image_version",
        "image_format",
        "image_compression",
        *_COMMANDS,
    ),
    "image_state_ref": ("image",),
    "template_state_ref": ("template_vm_id",),
    "foundation_state_ref": (),
}


def decided_by(reference: str) -> tuple[str, ...]:
    """Return the inputs that a reference decides: what a rerun's inputs need not keep."""
    return _DECIDED.get(reference, ())


def _effective(model: type[ModuleInputs], inputs: Mapping[str, Any], name: str) -> str:
    """Return an input's text: what was given, else the model's default; empty where the module has no such input."""
    known = model.model_fields.get(name)
    if known is None:
        return ""
    text = inputs.get(name) or known.default
    return text if isinstance(text, str) else ""
