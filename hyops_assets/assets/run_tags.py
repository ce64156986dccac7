"""What the caller of a run asked of it, read from the run's tags: they tell a shell's run from the UI's."""

import re

import dagster as dg

from hyops_assets.contract.errors import Refused
from hyops_assets.contract.references import BUILD_STATE, StateRef

MODULE_RUN_TAG = "hyops/run_id"
"""The module run that this run of the graph belongs to: `apply-<time>-<8 hex>`. The UI's runs have none."""

INSTANCE_TAG = "hyops/state_instance"
"""A state instance to be written in place of the module's own."""

RECORD_STATE_TAG = "hyops/record_state"
"""The state reference by which a seed was asked for: `<module>[#<instance>]`."""

_MODULE_RUN = re.compile(r"[a-z][a-z0-9_-]{0,127}", re.IGNORECASE)


class BadTag(Refused):
    """A run's tag holds what it cannot mean. Nothing ran."""


def require_sound_tags(run: dg.DagsterRun) -> None:
    """See that a run's tags name a module run, a state and an instance, and nothing else: they lead to no path.

    Raises:
        BadTag, BadReference: they do not.
    """
    named = run.tags.get(MODULE_RUN_TAG)
    if named is not None and not _MODULE_RUN.fullmatch(named):
        raise BadTag(f"the tag {MODULE_RUN_TAG} holds {named[:70]!r}, which names no run", hint="remove it")
    record_state(run)
    # Which module's slot it is the asset knows; an instance is one of any module.
    another_slot(run, BUILD_STATE)


def module_run(run: dg.DagsterRun) -> str:
    """Return what a state calls this run: the module's run, else the graph's own id."""
    return run.tags.get(MODULE_RUN_TAG, run.run_id)


def record_state(run: dg.DagsterRun) -> StateRef | None:
    """Return the state by which a seed's record was named; None where the graph asked for the seed itself."""
    reference = run.tags.get(RECORD_STATE_TAG)
    return StateRef.parse(reference) if reference else None


def another_slot(run: dg.DagsterRun, own: StateRef) -> StateRef | None:
    """Return the slot that is to be written instead of the module's own; None where none was asked for.

    A caller that asks for another slot leaves the module's own as it is.
    """
    instance = run.tags.get(INSTANCE_TAG)
    return StateRef.parse(f"{own.module}#{instance}") if instance else None
