import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_assets.contract.errors import TransientError
from hyops_lab.faults import Answer, DropAfterCommit
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.hetzner.limits import RateLimit
from resources.sites.hetzner.errors import BadToken, HetznerUnavailable, RateLimited
from resources.sites.hetzner.transport import pace
from tests.hetzner_lab import QUICK, Lab, hetzner_lab
from tests.hetzner_scene import assert_seeded


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch, read_only_token="may-only-look-0123456789") as lab:
        yield lab


def headers(limit: int, left: int, reset: float) -> dict[str, str]:
    return {"RateLimit-Limit": str(limit), "RateLimit-Remaining": str(left), "RateLimit-Reset": str(int(reset))}


def test_one_request_is_awaited_not_the_whole_hour() -> None:
    assert 1.0 <= pace(headers(3600, 0, 3600), now=0, at_least=0.2) <= 1.25


def test_ever_longer_pauses_end_where_all_requests_are_back() -> None:
    assert pace(headers(3600, 0, 3600), now=0, at_least=15.0) >= 15.0
    assert pace(headers(10, 9, 2), now=0, at_least=15.0) <= 2.5


@pytest.mark.parametrize("given", [{}, {"RateLimit-Limit": "many"}, headers(3600, 0, 10) | {"RateLimit-Reset": ""}])
def test_without_headers_to_go_by_the_pause_is_our_own(given: dict[str, str]) -> None:
    assert pace(given, now=0, at_least=3.0) == 3.0


@pytest.mark.seconds
def test_a_project_whose_requests_are_used_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It fills up slowly until a request was refused, so that one is, on a busy machine too.
    rate = RateLimit(limit=10, per_second=2.0)

    def fill_up(exchange: Exchange) -> None:
        if exchange.status == 429:
            rate.per_second = 50.0

    with hetzner_lab(tmp_path, monkeypatch, rate=rate) as lab:
        lab.timeouts = replace(QUICK, rate=60.0)
        lab.watchers.append(fill_up)
        rate.drain()

        assert_seeded(lab, lab.seeder().seed(lab.request()))

        assert any(request.status == 429 for request in lab.trace.requests())


def test_a_project_that_stays_used_up_is_a_transient_error_that_says_until_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hetzner_lab(tmp_path, monkeypatch, rate=RateLimit(limit=3600, per_second=1 / 60)) as lab:
        lab.timeouts = replace(QUICK, rate=0.5)
        lab.standin.rate.drain()

        with pytest.raises(RateLimited, match=r"\(429\).*until \d\d:\d\d:\d\dZ: 3600 an hour") as caught:
            lab.seeder().seed(lab.request())

        assert isinstance(caught.value, TransientError)
        assert lab.mutations() == 0


def test_what_may_be_repeated_is_and_what_may_not_is_not(lab: Lab) -> None:
    lab.fault("GET", "/images", Answer(503, "unavailable"))
    lab.fault("GET", "/images", DropAfterCommit(), 2)
    assert lab.client().list_snapshots() == []

    lab.fault("POST", "/ssh_keys", Answer(503, "unavailable"))
    with pytest.raises(HetznerUnavailable):
        lab.client().create_key("one", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJh", {})
    assert lab.trace.mutations()["hetzner"] == 1


def test_a_deletion_whose_answer_was_lost_was_done(lab: Lab) -> None:
    lab.fault("DELETE", r"/servers/\d+", DropAfterCommit())
    lab.fault("PUT", r"/images/\d+", DropAfterCommit())

    assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_a_token_that_may_only_read_is_refused_at_the_first_change_with_nothing_made(lab: Lab) -> None:
    with pytest.raises(BadToken, match="token_readonly") as caught:
        lab.seeder(client=lab.client("may-only-look-0123456789")).seed(lab.request())

    assert "read and write" in caught.value.hint
    assert (lab.snapshots(), lab.leftovers(), lab.mutations()) == ([], [], 1)


@pytest.mark.seconds
def test_a_token_that_may_only_read_is_enough_to_find_what_is_there(lab: Lab) -> None:
    lab.seeder().seed(lab.request())

    assert lab.seeder(client=lab.client("may-only-look-0123456789")).seed(lab.request()).outcome == "adopted"


@pytest.mark.parametrize("ahead", [6 * 3600.0, -6 * 3600.0])
def test_time_is_hetzners_whatever_this_hosts_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    with hetzner_lab(tmp_path, monkeypatch, clock_ahead=ahead) as lab:
        client = lab.client()
        assert abs(client.now() - time.time()) < 1
        client.list_snapshots()

        assert abs(client.now() - (time.time() + ahead)) < 2.5
