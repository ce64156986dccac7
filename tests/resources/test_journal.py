"""What every cloud's seed keeps of itself, and how every cloud is waited for."""

import pytest

from resources.sites.journal import Journal
from resources.sites.timeouts import Timeouts

AT_ONCE = Timeouts(request=1.0, outage=0.0, first_poll=0.001, longest_poll=0.001, lifetime=1.0)


def test_each_step_is_reported_as_it_starts_and_timed_even_where_it_fails() -> None:
    started: list[str] = []
    journal = Journal(progress=lambda stage, done, total: started.append(stage))

    with journal.step("find"):
        pass
    with pytest.raises(InterruptedError), journal.step("write"):
        raise InterruptedError

    assert started == list(journal.timings) == ["find", "write"]


def test_a_step_that_is_taken_twice_adds_up() -> None:
    journal = Journal(timings={"write": 40.0})

    with journal.step("write"):
        pass

    assert journal.timings["write"] >= 40.0


def test_a_warning_is_one_line_whatever_a_site_said() -> None:
    journal = Journal()

    journal.warn("task failed:\nno space\x1b[31m left")

    assert len(journal.warnings) == 1
    assert journal.warnings[0].isprintable()


def test_a_site_is_asked_until_it_answers_and_once_where_there_is_no_time() -> None:
    answers = iter([None, None, "ready"])
    asked: list[str] = []

    assert AT_ONCE.poll(lambda: next(answers), within=60.0) == "ready"
    assert AT_ONCE.poll(lambda: asked.append("once"), within=0.0) is None
    assert asked == ["once"]
