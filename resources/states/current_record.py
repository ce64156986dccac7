"""Which record is current, and which state says so: the one place that answers it."""

from hyops_assets.contract.references import ARTIFACT_STATE, BUILD_STATE, StateRef
from hyops_assets.contract.state import ModuleState
from resources.states.store import StateStore


def naming_state(states: StateStore, asked: StateRef | None = None) -> StateRef:
    """Return the state whose record is current: the build slot's, or a registered record's.

    The latter where a seed was asked for by it, or where this environment builds none.

    Args:
        states: of the environment.
        asked: the state by which a seed was asked for, where it was by one.
    """
    return _naming(states, asked)[0]


def current_version(states: StateStore) -> str | None:
    """Return the version of the current record; None where no state names one."""
    return _output(_naming(states)[1], "record_version")


def current_digest(states: StateStore, asked: StateRef | None = None) -> str | None:
    """Return the digest of the current record, as the state by which a seed was asked for has it."""
    return _output(_naming(states, asked)[1], "record_digest")


def built_version(states: StateStore) -> str | None:
    """Return the version that the build slot names; None where nothing was built here."""
    return _output(states.find(BUILD_STATE), "record_version")


def _naming(states: StateStore, asked: StateRef | None = None) -> tuple[StateRef, ModuleState | None]:
    if asked is not None and asked.module == ARTIFACT_STATE.module:
        return asked, states.find(asked)
    built = states.find(BUILD_STATE)
    if asked is not None or built is not None:
        return BUILD_STATE, built
    return ARTIFACT_STATE, states.find(ARTIFACT_STATE)


def _output(state: ModuleState | None, name: str) -> str | None:
    value = state.outputs.get(name) if state is not None else None
    return value if isinstance(value, str) else None
