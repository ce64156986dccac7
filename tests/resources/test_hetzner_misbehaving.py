from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_assets.lab.faults import Answer, Delay, DropAfterCommit, Pretend
from resources.hetzner.errors import (
    LimitReached,
    NotOffered,
    RescueNotReached,
)
from tests.hetzner_lab import QUICK, Lab, hetzner_lab
from tests.hetzner_scene import assert_seeded


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


# A cloud that misbehaves


def test_a_sold_out_server_type_is_replaced_by_the_next(lab: Lab) -> None:
    lab.standin.sold_out.add(("cx23", "fsn1"))
    lab.fault("POST", "/servers", Answer(412, "resource_unavailable"), 1, 2)

    image = lab.seeder().seed(lab.request())

    assert (image.server_type, image.location) == ("cx33", "fsn1")
    assert_seeded(lab, image)


def test_nothing_to_be_had_is_a_transient_error_that_names_the_locations(lab: Lab) -> None:
    lab.fault("POST", "/servers", Answer(412, "resource_unavailable"), *range(1, 20))

    with pytest.raises(NotOffered, match="fsn1, nbg1, hel1"):
        lab.seeder().seed(lab.request())
    assert lab.leftovers() == []


def test_a_locked_server_is_asked_again(lab: Lab) -> None:
    lab.fault("POST", r"/servers/\d+/actions/enable_rescue", Answer(423, "locked"), 1, 2, 3)

    assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_a_limit_of_the_account_is_not_tried_around(lab: Lab) -> None:
    lab.fault("POST", "/servers", Answer(403, "resource_limit_exceeded", "Primary IP limit exceeded"))

    with pytest.raises(LimitReached, match="Primary IP limit exceeded"):
        lab.seeder().seed(lab.request())
    assert lab.leftovers() == []


@pytest.mark.parametrize("path", ["/ssh_keys", "/servers", r"/servers/\d+/actions/create_image"])
def test_an_answer_lost_after_the_work_was_done_is_no_second_piece_of_work(lab: Lab, path: str) -> None:
    lab.fault("POST", path, DropAfterCommit())

    image = lab.seeder().seed(lab.request())

    assert image.outcome == "created"
    assert_seeded(lab, image)


def test_a_slow_answer_that_the_library_asks_for_again_makes_no_second_server(lab: Lab) -> None:
    lab.patience = replace(QUICK, request=0.3)
    lab.fault("POST", "/servers", Delay(1.0))

    image = lab.seeder().seed(lab.request())

    assert sum(request.path == "/servers" and request.method == "POST" for request in lab.trace.requests()) >= 2
    assert_seeded(lab, image)


def test_a_server_that_stays_off_is_started_again(lab: Lab) -> None:
    lab.patience = replace(QUICK, boot=0.2)
    lab.fault("POST", r"/servers/\d+/actions/poweron", Pretend())

    assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_a_server_that_boots_its_disk_is_reset_into_the_rescue_system(lab: Lab) -> None:
    lab.fault("POST", r"/servers/\d+/actions/enable_rescue", Pretend())

    assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_nothing_is_written_to_a_server_that_never_boots_its_rescue_system(lab: Lab) -> None:
    lab.fault("POST", r"/servers/\d+/actions/enable_rescue", Pretend(), 1, 2)

    with pytest.raises(RescueNotReached, match="this is not the rescue system"):
        lab.seeder().seed(lab.request())
    assert lab.objects.hits == 1, "looked at, never fetched"
    assert lab.leftovers() == []
