"""What a chain of runs waited for: nothing is counted twice, and nothing is lost."""

import pytest

from benchmarks.waits import Ran, Span, covered, waits

BUILD = Ran("build", enqueued=103, launched=105, steps=(Span(108, 110), Span(111, 120)))
SEED = Ran("seed", enqueued=130, launched=131, steps=(Span(134, 150), Span(160, 170)))


def test_what_overlaps_counts_once() -> None:
    assert covered([]) == 0
    assert covered([Span(5, 7), Span(0, 4), Span(1, 2), Span(3, 5.5)]) == 7


def test_each_wait_has_a_name_and_all_of_them_are_what_the_work_does_not_explain() -> None:
    spent = waits(100, 145, [BUILD, SEED])
    assert spent == {
        "build asked for": 3,
        "build in the queue": 2,
        "build process and imports": 3,
        "build between steps": 1,
        "seed asked for": 10,
        "seed in the queue": 1,
        "seed process and imports": 3,
        # What happens after the end does not count, nor what of a step lies behind it.
        "seed between steps": 0,
    }
    worked = covered([*BUILD.steps, Span(134, 145)])
    assert sum(spent.values()) + worked == 145 - 100


def test_a_step_that_begins_after_the_end_is_not_waited_for() -> None:
    assert sum(waits(100, 165, [BUILD, SEED]).values()) == pytest.approx(23 + 10)
