"""What is tried again, and what is not: the type of the error decides, and whether somebody waits at a shell."""

import dagster as dg
import pytest

from hyops_assets.assets.steps import RETRIES, again, step
from hyops_assets.contract.errors import HyopsError, TransientError


def run(failure: type[HyopsError], *, times: int, unattended: bool) -> tuple[bool, int]:
    """Run a step that fails some times; return whether the run succeeded, and how often the step was tried."""
    tried: list[int] = []

    @dg.asset
    def stubborn(context: dg.AssetExecutionContext) -> None:
        tried.append(context.retry_number)
        try:
            with step(context, "stubborn"):
                if len(tried) <= times:
                    raise failure("the site does not answer", hint="wait")
        except TransientError as error:
            if not unattended:
                raise
            raise again(error, wait_seconds=0) from error

    return dg.materialize([stubborn], raise_on_error=False).success, len(tried)


def test_a_passing_failure_is_tried_again_until_it_passes_and_not_for_ever() -> None:
    assert run(TransientError, times=1, unattended=True) == (True, 2)
    assert run(TransientError, times=9, unattended=True) == (False, 1 + RETRIES)


@pytest.mark.parametrize(("failure", "unattended"), [(HyopsError, True), (TransientError, False)])
def test_a_lasting_failure_and_a_shells_run_are_tried_once(failure: type[HyopsError], unattended: bool) -> None:
    assert run(failure, times=9, unattended=unattended) == (False, 1)
