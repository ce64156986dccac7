"""What whoever launched a run asked of it, read from the run's tags: how a shell's run and the UI's are told apart."""

import dagster as dg

from hyops_assets.contract.references import StateRef

MODULE_RUN_TAG = "hyops/run_id"
"""The module run that this run of the graph belongs to: `apply-<time>-<8 hex>`. The UI's runs have none."""

INSTANCE_TAG = "hyops/state_instance"
"""A state instance to be written in place of the module's own."""

RECORD_STATE_TAG = "hyops/record_state"
"""The state reference by which a seed was asked for: `<module>[#<instance>]`."""


def module_run(run: dg.DagsterRun) -> str:
    """Return what a state calls this run: the module's run, else the graph's own id."""
    return run.tags.get(MODULE_RUN_TAG, run.run_id)


def record_state(run: dg.DagsterRun) -> StateRef | None:
    """Return the state by which a seed's record was named; None where the graph asked for the seed itself."""
    reference = run.tags.get(RECORD_STATE_TAG)
    return StateRef.parse(reference) if reference else None


def another_slot(run: dg.DagsterRun, own: StateRef) -> StateRef | None:
    """Return the slot that is to be written instead of the module's own; None where none was asked for.

    Whoever asks for another slot keeps what stands in the module's own from moving.
    """
    instance = run.tags.get(INSTANCE_TAG)
    return StateRef(own.module, instance) if instance else None
