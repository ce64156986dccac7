"""`hyops plan`: what apply would do, with reading calls only."""

from hyops_assets.cli.checking import module_checks
from hyops_assets.cli.module_run import Recorded
from hyops_assets.cli.prepare import ModuleCommand, prepare, reach
from hyops_assets.cli.progress import busy
from hyops_assets.cli.usage import before_the_run


def plan_module(asked: ModuleCommand) -> None:
    """Resolve everything as apply does, and print one line per thing: what would become of it.

    Raises:
        NotStarted: the inputs are wrong or a state reference does not resolve.
        PreflightFailed: something that apply needs is missing or wrong.
        HyopsError: something could not be read.
    """
    prepared = prepare(asked)
    with before_the_run():
        prepared.module.require_site(prepared.work)
        prepared.resolution.require()
        prepared = reach(prepared)
    with Recorded(prepared) as run:
        for line in prepared.resolution.overruled:
            run.say(f"warning: {line}")
        work = prepared.work
        if not asked.skip_preflight:
            run.phase("preflight")
            with busy(work.place.console, "preflight", ends=False):
                run.passed(module_checks(prepared))
        run.phase("plan")
        with busy(work.place.console, "plan", ends=False):
            intended = [
                *((line.action, line.what, line.detail) for line in prepared.module.plan(work)),
                ("write", "state", str(work.states.path(work.ref))),
            ]
        for action, what, detail in intended:
            run.say(f"plan: {action:<8} {what:<20} {detail}".rstrip())
        run.write(
            "plan.json", {"plan": [dict(zip(("action", "what", "detail"), line, strict=True)) for line in intended]}
        )
