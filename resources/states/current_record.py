"""Which record is current, and which state says so: the one place that answers it."""

from hyops_assets.contract.references import ARTIFACT_STATE, BUILD_STATE, StateRef
from resources.states.store import StateStore


def naming_state(states: StateStore, asked: StateRef | None = None) -> StateRef:
    """Return the state whose record is current: the build slot's, or a registered record's.

    The latter where a seed was asked for by it, or where this environment builds none.

    Args:
        states: of the environment.
        asked: the state by which a seed was asked for, where it was by one.
    """
    if asked is not None and asked.module == ARTIFACT_STATE.module:
        return asked
    return BUILD_STATE if asked is not None or states.find(BUILD_STATE) is not None else ARTIFACT_STATE


def current_version(states: StateStore) -> str | None:
    """Return the version of the current record; None where no state names one."""
    return _output(states, naming_state(states), "record_version")


def current_digest(states: StateStore, asked: StateRef | None = None) -> str | None:
    """Return the digest of the current record, as the state by which a seed was asked for has it."""
    return _output(states, naming_state(states, asked), "record_digest")


def built_version(states: StateStore) -> str | None:
    """Return the version that the build slot names; None where nothing was built here."""
    return _output(states, BUILD_STATE, "record_version")


def _output(states: StateStore, ref: StateRef, name: str) -> str | None:
    state = states.find(ref)
    value = state.outputs.get(name) if state is not None else None
    return value if isinstance(value, str) else None
