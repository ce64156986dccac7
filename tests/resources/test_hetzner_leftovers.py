from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hyops_assets.contract.seeding import SeedRequest
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.leftovers import LONGEST_LIFETIME, TOLERANCE, is_expired, is_leftover
from tests.hetzner_lab import ENVIRONMENT, make_record

BORN = 1_800_000_000
CREATED = datetime.fromtimestamp(BORN, UTC)
REQUEST = SeedRequest(record=make_record(), url="https://x", run_id="mine", site="lab", environment=ENVIRONMENT)
SEEDER = Labels.of(replace(REQUEST, run_id="other"), role="seeder", expires=BORN + 3600)
NOT_YET, LATE = BORN + 1800, BORN + 3600 + TOLERANCE + 1


@pytest.mark.parametrize(
    ("expires", "now", "expired"),
    [
        (BORN + 3600, BORN + 3600 + TOLERANCE - 1, False),
        (BORN + 3600, LATE, True),
        # A label from the past or from far in the future was written by a wrong clock.
        (BORN - 7200, BORN + 60, False),
        (BORN - 7200, BORN + LONGEST_LIFETIME + TOLERANCE + 1, True),
        (BORN + 10 * LONGEST_LIFETIME, BORN + LONGEST_LIFETIME, False),
        (BORN + 10 * LONGEST_LIFETIME, BORN + LONGEST_LIFETIME + TOLERANCE + 1, True),
        (None, BORN + 100 * LONGEST_LIFETIME, False),
    ],
)
def test_an_expiry_counts_with_tolerance_and_only_where_it_can_be_believed(
    expires: int | None, now: float, *, expired: bool
) -> None:
    assert is_expired(replace(SEEDER, expires=expires), CREATED, now=now) is expired


@pytest.mark.parametrize(
    ("live", "same_seed", "now", "leftover"),
    [
        (True, True, LATE, False),
        (True, False, LATE, False),
        (False, True, NOT_YET, True),
        (False, False, NOT_YET, False),
        (False, False, LATE, True),
        # The run is unknown here: it may be at work on another host.
        (None, True, NOT_YET, False),
        (None, True, LATE, True),
        (None, False, LATE, True),
    ],
)
def test_only_what_no_run_can_be_using_is_a_leftover(
    live: bool | None, same_seed: bool, now: float, leftover: bool
) -> None:
    labels = SEEDER if same_seed else replace(SEEDER, seed_id="0123456789abcdef").made_by(ENVIRONMENT)

    assert is_leftover(labels, CREATED, REQUEST, now=now, is_live=lambda run: live) is leftover


def test_what_has_no_whole_labels_of_ours_or_is_no_seeder_is_no_leftover() -> None:
    for labels in (None, replace(SEEDER, role="image")):
        assert not is_leftover(labels, CREATED, REQUEST, now=LATE * 2, is_live=lambda run: False)


def test_a_run_takes_up_what_it_made_itself() -> None:
    assert is_leftover(replace(SEEDER, run_id="mine"), CREATED, REQUEST, now=NOT_YET, is_live=lambda run: True)
