"""`hyops apply`: a module, as its row in the registry does it, with its state and its run record kept."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from hyops_assets.cli.checking import module_checks, required_variables
from hyops_assets.cli.module_run import PreflightFailed, Recorded, describe, driver_of, status_of
from hyops_assets.cli.modules.work import Done
from hyops_assets.cli.prepare import ModuleCommand, Prepared, prepare, reach
from hyops_assets.cli.progress import busy
from hyops_assets.cli.saved_inputs import rerun_path, write_rerun_inputs
from hyops_assets.cli.usage import before_the_run
from resources.states.store import Begun


def apply_module(asked: ModuleCommand) -> None:
    """Apply a module.

    Raises:
        NotStarted: the inputs are wrong or a state reference does not resolve; nothing was started.
        PreflightFailed: something is missing or wrong; no state was touched.
        HyopsError: the run failed; the state says `error` and keeps its former outputs.
        KeyboardInterrupt: the person at the shell ended it; likewise.
    """
    prepared = prepare(asked)
    with before_the_run():
        prepared.module.require_site(prepared.work)
        prepared.resolution.require()
        prepared = reach(prepared)
        prepared.module.refuse(prepared.work)
    with ended_as_by_hand(), Recorded(prepared) as run:
        for line in prepared.resolution.overruled:
            run.say(f"warning: {line}")
        _require_ready(prepared, run)
        with _Slot(prepared, run) as slot:
            run.phase("apply")
            slot.settle(prepared.module.apply(prepared.work))


def _require_ready(prepared: Prepared, run: Recorded) -> None:
    if not prepared.asked.skip_preflight:
        run.phase("preflight")
        with busy(prepared.work.place.console, "preflight", ends=False):
            run.passed(module_checks(prepared))
        return
    # What inputs require is no matter of preflight alone.
    missing = [one for one in required_variables(prepared.work.inputs.required_env, os.environ) if not one.ok]
    if missing:
        names = ", ".join(one.name.removeprefix("env:") for one in missing)
        raise PreflightFailed(f"missing required env vars: {names}", hint="export them where hyops runs")


class _Slot:
    """The state slot of a run: `running` from before anything is changed, then what the run came to."""

    def __init__(self, prepared: Prepared, run: Recorded) -> None:
        self._prepared = prepared
        self._run = run
        self._states = prepared.work.states

    def __enter__(self) -> Self:
        work, run = self._prepared.work, self._run
        begun = Begun(
            run_id=work.run_id,
            command=self._prepared.asked.command,
            evidence_dir=str(run.directory),
            credentials=self._prepared.module.credentials,
            rerun_inputs_file=str(rerun_path(work.place.root, work.ref)),
            resolved_inputs_file=str(run.resolved_inputs),
        )
        self._states.begin(work.ref, begun, lab=work.settings.lab)
        with ExitStack() as failing:
            # The slot says `running` from here on: where this fails, it says so too.
            failing.push(self)
            run.rerun_inputs = write_rerun_inputs(
                work.place.root, work.ref, self._prepared.layers.given, self._prepared.redactor
            )
            failing.pop_all()
        return self

    def settle(self, done: Done) -> None:
        """Commit what the run came to. What the graph committed itself stays; what it left alone is put back."""
        work = self._prepared.work
        self._run.write("driver_result.json", {"status": "ok", **done.driver})
        if done.outputs is not None:
            self._states.commit(work.ref, run_id=work.run_id, outputs=done.outputs)
        elif self._states.withdraw(work.ref, run_id=work.run_id):
            self._run.say(f"state: {work.ref} stays as it was: it names another record")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        work = self._prepared.work
        if error is not None:
            self._states.fail(work.ref, run_id=work.run_id, error=self._prepared.redactor.text(describe(error)))
            self._run.write("driver_result.json", {"status": status_of(error), **driver_of(error)})
        state = self._states.find(work.ref)
        if state is not None:
            self._run.write("module_state.json", state.model_dump(mode="json", exclude_none=True))


@contextmanager
def ended_as_by_hand() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, so that a service manager's stop leaves nothing behind either."""
    # Raised as SIGINT, not as an exception: a handler for that, such as Dagster's, is to have its say.
    former = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
