from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hyops_assets.contract.errors import TransientError
from hyops_lab.faults import Answer, DropAfterCommit, Pretend
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.hetzner.project import Failure
from resources.sites.hetzner.errors import (
    ActionFailed,
    LimitReached,
    NotOffered,
    RescueNotReached,
    SourceUnreachable,
)
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.options import PaidSnapshot
from resources.sites.hetzner.rescue import write_disk
from resources.sites.hetzner.source import Source
from resources.sites.hetzner.workbench import workbench
from tests.hetzner_lab import QUICK, Lab, hetzner_lab, make_record
from tests.hetzner_scene import assert_seeded

pytestmark = pytest.mark.seconds


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


def test_a_server_that_cannot_be_placed_is_asked_for_elsewhere(lab: Lab) -> None:
    lab.fault("POST", "/servers", Answer(422, "placement_error"))

    image = lab.seeder().seed(lab.request())

    assert (image.server_type, image.location) == ("cx23", "nbg1")
    assert_seeded(lab, image)


@pytest.mark.parametrize("words", ["unsupported location for server type", "server type cx23 is deprecated"])
def test_a_server_type_that_was_withdrawn_since_it_was_listed_is_replaced_by_the_next(lab: Lab, words: str) -> None:
    lab.fault("POST", "/servers", Answer(422, "invalid_input", words))

    image = lab.seeder().seed(lab.request())

    assert (image.server_type, image.location) != ("cx23", "fsn1")
    assert_seeded(lab, image)


@pytest.mark.parametrize("code", ["resource_unavailable", "placement_error", "action_failed"])
def test_an_order_that_was_taken_and_then_not_placed_is_made_elsewhere(lab: Lab, code: str) -> None:
    lab.standin.worker.failing["create_server"] = [Failure(code=code, message="error during placement")]

    image = lab.seeder().seed(lab.request())

    assert (image.server_type, image.location) == ("cx23", "nbg1")
    assert_seeded(lab, image)


def test_orders_that_are_taken_and_placed_nowhere_are_a_transient_error_and_leave_nothing(lab: Lab) -> None:
    nowhere = Failure(code="resource_unavailable", message="error during placement")
    lab.standin.worker.failing["create_server"] = [nowhere] * 20

    with pytest.raises(NotOffered, match=r"fsn1, nbg1, hel1; waiting for server .*error during placement"):
        lab.seeder().seed(lab.request())
    assert issubclass(NotOffered, TransientError)
    assert lab.leftovers() == []


def test_an_order_that_failed_for_another_reason_is_transient_and_not_made_elsewhere(lab: Lab) -> None:
    lab.standin.worker.failing["create_server"] = [Failure(code="unknown_error", message="server is locked")]

    with pytest.raises(ActionFailed, match=r"server is locked \(unknown_error, action"):
        lab.seeder().seed(lab.request())
    assert lab.leftovers() == []
    assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_a_server_that_is_taken_back_while_it_is_made_is_transient(lab: Lab) -> None:
    lab.fault("GET", r"/servers/\d+/actions", Answer(404, "not_found"))

    with pytest.raises(ActionFailed, match="it is gone, and was never up"):
        lab.seeder().seed(lab.request())
    assert lab.leftovers() == []


def test_a_server_type_and_a_location_that_were_asked_for_are_taken(lab: Lab) -> None:
    image = lab.seeder().seed(lab.request(), PaidSnapshot(seed_server_type="cpx22", seed_location="hel1"))

    assert (image.server_type, image.location) == ("cpx22", "hel1")
    assert lab.snapshots()[0].disk_gb == 80


def test_what_was_asked_for_is_not_replaced_by_something_else(lab: Lab) -> None:
    with pytest.raises(NotOffered, match=r"no server type cax11 .* in hel1"):
        lab.seeder().seed(lab.request(), PaidSnapshot(seed_server_type="cax11", seed_location="hel1"))
    assert lab.leftovers() == []


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


def test_a_server_that_stays_off_is_started_again(lab: Lab) -> None:
    lab.timeouts = replace(QUICK, boot=0.2)
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


def test_a_server_without_ipv4_is_written_over_ipv6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hetzner_lab(tmp_path, monkeypatch, site={"ipv4": False}) as lab:
        asked: list[Exchange] = []
        lab.watchers.append(asked.append)

        assert_seeded(lab, lab.seeder().seed(lab.request()))

        (created,) = [one for one in asked if (one.method, one.path) == ("POST", "/servers")]
        assert created.answer["server"]["public_net"]["ipv4"] is None


def test_a_name_that_the_rescue_system_cannot_resolve_is_said_with_what_to_look_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hetzner_lab(tmp_path, monkeypatch, resolves=False) as lab:
        bad = Source(make_record().variants["raw.xz"], url="https://records.invalid/vyos.raw.xz")
        request = lab.request()
        labels = Labels.of(request, role="seeder", expires=2_000_000_000)
        with workbench(lab.client(), lab.site, request, labels, PaidSnapshot()) as bench:
            bench.boot_rescue(request.record.disk)
            with pytest.raises(SourceUnreachable, match="resolve host") as caught:
                write_disk(bench.login, bad, request.record.disk, timeouts=QUICK)
        assert "name is public" in caught.value.hint
        assert lab.leftovers() == []


def test_a_rescue_system_without_openssl_hashes_with_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hetzner_lab(tmp_path, monkeypatch, without=["openssl"]) as lab:
        assert_seeded(lab, lab.seeder().seed(lab.request()))


def test_an_answer_from_a_host_that_does_not_know_our_key_is_not_the_rescue_system(lab: Lab) -> None:
    def change_locks(exchange: Exchange) -> None:
        if exchange.path.endswith("/enable_rescue"):
            for server in lab.standin.project.contents.servers.values():
                server.rescue_keys = []

    lab.timeouts = replace(QUICK, ssh=0.5)
    lab.watchers.append(change_locks)

    with pytest.raises(RescueNotReached, match="refused logins for"):
        lab.seeder().seed(lab.request())
    assert lab.objects.hits == 1, "looked at, never fetched"
    assert (lab.snapshots(), lab.leftovers()) == ([], [])
