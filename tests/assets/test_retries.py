"""What is tried again, and what is not: the type of the error decides, and whether somebody waits at a shell."""

import functools
import uuid

import dagster as dg
import pytest

from hyops_assets.assets import steps
from hyops_assets.assets.run_liveness import by_shell
from hyops_assets.assets.steps import RETRIES, again, step
from hyops_assets.contract.errors import HyopsError, TransientError


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "again", functools.partial(again, wait_seconds=0))


def run(failure: type[HyopsError], *, times: int, at_shell: bool) -> tuple[bool, int]:
    """Run a step that fails some times; return whether the run succeeded, and how often the step was tried."""
    tried: list[int] = []

    @dg.asset
    def stubborn(context: dg.AssetExecutionContext) -> None:
        tried.append(context.retry_number)
        with step(context, "stubborn"):
            if len(tried) <= times:
                raise failure("the site does not answer", hint="wait")

    run_id = str(uuid.uuid4())
    # A run that the UI executes again carries the tags of the one that a shell began.
    tags = by_shell(run_id if at_shell else str(uuid.uuid4()))
    job = dg.Definitions(assets=[stubborn], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    return job.execute_in_process(run_id=run_id, tags=tags, raise_on_error=False).success, len(tried)


def test_a_passing_failure_is_tried_again_until_it_passes_and_not_for_ever() -> None:
    assert run(TransientError, times=1, at_shell=False) == (True, 2)
    assert run(TransientError, times=9, at_shell=False) == (False, 1 + RETRIES)


@pytest.mark.parametrize(("failure", "at_shell"), [(HyopsError, False), (TransientError, True)])
def test_a_lasting_failure_and_a_shells_run_are_tried_once(failure: type[HyopsError], at_shell: bool) -> None:
    assert run(failure, times=9, at_shell=at_shell) == (False, 1)
