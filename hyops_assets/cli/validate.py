"""`hyops validate`: a module's inputs, resolved as far as that goes without changing anything. Loads no Dagster."""

from hyops_assets.cli.checking import module_checks, warnings
from hyops_assets.cli.module_run import Recorded
from hyops_assets.cli.prepare import ModuleCommand, prepare, reach
from hyops_assets.cli.usage import before_the_run


def validate_module(asked: ModuleCommand) -> None:
    """Validate a module's inputs and say what is not there yet. Writes a run record, and no state.

    With `--skip-preflight`, a state that does not resolve and a variable that is unset are warnings.

    Raises:
        NotStarted: the inputs are wrong, or preflight is on and a reference does not resolve.
        PreflightFailed: something is missing or wrong.
    """
    prepared = prepare(asked)
    if not asked.skip_preflight:
        with before_the_run():
            prepared.resolution.require()
            prepared = reach(prepared)
    with Recorded(prepared) as run:
        if not asked.skip_preflight:
            run.phase("preflight")
            run.passed(module_checks(prepared))
        run.phase("validate")
        for line in warnings(prepared):
            run.say(f"warning: {line}")
