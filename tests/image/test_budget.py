import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.image.budget import Budget, OverBudget, asked_once


def test_what_is_left_is_taken_and_what_is_beyond_is_refused_by_name() -> None:
    budget = Budget(entries=2)
    budget.spend("entries", 2, "a listing")
    with pytest.raises(OverBudget, match="a listing takes more than the 2 entries that are allowed"):
        budget.spend("entries", 1, "a listing")
    assert budget.left("entries") == 0


def test_seconds_that_a_program_took_are_missed_by_the_next() -> None:
    budget = Budget(seconds=5)
    budget.note("seconds", 6)
    with pytest.raises(OverBudget, match="the next takes more than the 5 seconds"):
        budget.spend("programs", 1, "the next")


class Asked:
    def __init__(self) -> None:
        self.times = 0

    @asked_once
    def found(self) -> int:
        """How often it was asked."""
        self.times += 1
        return self.times

    @asked_once
    def refused(self) -> int:
        self.times += 1
        raise HyopsError("no", hint="none")


def test_an_answer_and_a_refusal_are_found_once() -> None:
    asked = Asked()
    assert (asked.found, asked.found) == (1, 1)
    for _ in range(2):
        with pytest.raises(HyopsError, match="no"):
            _ = asked.refused
    assert asked.times == 2
    assert Asked.found.__doc__ == "How often it was asked."
