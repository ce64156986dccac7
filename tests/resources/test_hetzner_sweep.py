"""What dead runs left in a project is removed, of any run; what a run at work needs, or others made, stays."""

import base64
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.upkeep import Finding, IsLive
from hyops_lab.faults import Answer
from resources.sites import cleanup
from resources.sites.hetzner import sweep
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.inventory import Server
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.leftovers import TOLERANCE
from resources.sites.hetzner.sweep import Sweep, judge_seeder
from tests.hetzner_lab import ENVIRONMENT, Lab, hetzner_lab, make_record
from tests.killing import killed_at_each_line, kills

NOW = int(time.time())
BORN = datetime.fromtimestamp(NOW, UTC)
SOON, LATER = NOW + 3600, NOW + 3600 + int(TOLERANCE) + 2
OURS = Labels(
    role="seeder",
    key="vyos-1.5",
    version="2026.03.03-0027-rolling",
    disk_sha256=make_record().disk.sha256,
    record_digest=make_record().digest,
    seed_id="0123456789abcdef",
    run_id="dead",
    state="pending",
    expires=SOON,
).made_by(ENVIRONMENT)


def unknown(run_id: str) -> bool | None:
    return None


def ended(run_id: str) -> bool | None:
    return False


def at_work(run_id: str) -> bool | None:
    return True


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


def left_behind(lab: Lab, name: str, labels: dict[str, str]) -> Server:
    """A server and its key, as a run that was killed leaves them."""
    client = lab.client()
    public_key = f"ssh-ed25519 {base64.b64encode(secrets.token_bytes(51)).decode()}"
    key = client.create_key(name, public_key, labels)
    (offer, *_) = client.list_offers()
    return client.wait_server(client.create_server(name, offer, image="debian-12", key=key, labels=labels))


def swept(lab: Lab, is_live: IsLive, *, now: float = NOW, client: HetznerClient | None = None) -> Sweep:
    return Sweep(client or lab.client(), "lab", environment=ENVIRONMENT, is_live=is_live, clock=lambda: now)


def verdicts(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.what.split(" (")[0], finding.verdict) for finding in findings]


def test_a_server_and_its_key_are_removed_once_their_run_has_ended(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())

    assert verdicts(swept(lab, ended).reap()) == [
        ("server vyos-seed-a", "removed"),
        ("SSH key vyos-seed-a", "removed"),
    ]
    assert lab.leftovers() == []


def test_the_server_goes_before_its_key(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())
    swept(lab, ended).reap()

    deleted = [call.path for call in lab.trace.requests() if call.method == "DELETE"]
    assert [path.rsplit("/", 2)[-2] for path in deleted] == ["servers", "ssh_keys"]


def test_what_a_run_at_work_needs_stays_even_past_its_time(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())
    before = lab.mutations()

    findings = swept(lab, at_work, now=LATER).reap()

    assert {finding.verdict for finding in findings} == {"keep"}
    assert "run dead is at work" in findings[0].why
    assert (len(lab.leftovers()), lab.mutations()) == (2, before)


def test_what_a_run_of_another_host_made_stays_until_its_time_is_over(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())

    assert {finding.verdict for finding in swept(lab, unknown).reap()} == {"keep"}
    assert {finding.verdict for finding in swept(lab, unknown, now=LATER).reap()} == {"removed"}
    assert lab.leftovers() == []


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"hyops_role": "seeder", "hyops_managed_by": "another"},
        {"hyops_role": "image", "hyops_managed_by": "hyops"},
        {"hyops_role": "seeder"},
    ],
)
def test_another_owner_s_server_is_no_finding_whatever_its_name(lab: Lab, labels: dict[str, str]) -> None:
    left_behind(lab, "vyos-seed-0123456789ab", labels)

    assert swept(lab, ended).reap() == []
    assert len(lab.leftovers()) == 2


@pytest.mark.parametrize("missing", ["hyops_run_id", "hyops_seed_id", "hyops_state", "hyops_record_hi"])
def test_what_is_labelled_by_halves_is_left_to_a_person(lab: Lab, missing: str) -> None:
    labels = OURS.written()
    del labels[missing]
    left_behind(lab, "vyos-seed-a", labels)

    assert {finding.verdict for finding in swept(lab, ended).reap()} == {"by hand"}
    assert len(lab.leftovers()) == 2


def test_what_no_label_dates_is_left_to_a_person_where_its_run_is_not_known() -> None:
    assert (
        judge_seeder(replace(OURS, expires=None), BORN, environment=ENVIRONMENT, now=NOW, is_live=unknown)[0]
        == "by hand"
    )
    assert (
        judge_seeder(replace(OURS, expires=None), BORN, environment=ENVIRONMENT, now=NOW, is_live=ended)[0] == "remove"
    )


def test_a_snapshot_that_is_labelled_as_ours_is_never_swept() -> None:
    assert (
        judge_seeder(replace(OURS, role="image"), BORN, environment=ENVIRONMENT, now=NOW, is_live=ended)[0]
        == "by hand"
    )


def test_a_server_that_changed_hands_since_it_was_listed_is_not_removed(lab: Lab) -> None:
    """The labels are read once more right before: a run may have begun with them in between."""
    server = left_behind(lab, "vyos-seed-a", OURS.written())
    answers = iter([False])

    findings = swept(lab, lambda run_id: next(answers, True)).reap()

    assert [finding.verdict for finding in findings] == ["keep", "keep"]
    assert lab.client().get_server(server.id).name == "vyos-seed-a"


def test_a_key_whose_server_would_not_go_stays_with_it(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())
    lab.fault("DELETE", r"/servers/\d+", Answer(403, "forbidden"))

    server, key = swept(lab, ended).reap()

    assert (server.verdict, key.verdict) == ("failed", "keep")
    assert "forbidden" in server.why
    assert len(lab.leftovers()) == 2


def test_one_that_cannot_be_removed_stops_no_other(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())
    left_behind(lab, "vyos-seed-b", OURS.written())
    lab.fault("DELETE", r"/servers/\d+", Answer(403, "forbidden"), 1)

    swept(lab, ended).reap()

    assert lab.leftovers() == ["vyos-seed-a"] * 2


def test_looking_changes_nothing(lab: Lab) -> None:
    left_behind(lab, "vyos-seed-a", OURS.written())
    before = lab.mutations()

    assert {finding.verdict for finding in swept(lab, ended).find()} == {"remove"}
    assert (len(lab.leftovers()), lab.mutations()) == (2, before)


def test_more_than_a_page_of_leftovers_is_found(lab: Lab) -> None:
    """Fifty is Hetzner's longest page."""
    server = left_behind(lab, "vyos-seed-a", OURS.written())
    contents = lab.standin.project.contents
    model = contents.servers[server.id]
    for number in range(60):
        contents.servers[9000 + number] = model.model_copy(update={"id": 9000 + number, "name": f"s{number}"})

    assert len([finding for finding in swept(lab, ended).find() if finding.what.startswith("server")]) == 61


@pytest.mark.seconds
@kills(some=19, of_all=3)
def test_a_sweep_that_is_killed_at_any_line_removes_nothing_else_and_the_next_one_ends_the_work(
    lab: Lab, every: int
) -> None:
    left_behind(lab, "alive", replace(OURS, run_id="alive").written())
    left_behind(lab, "unrelated", {"role": "web"})

    def is_live(run_id: str) -> bool | None:
        return run_id == "alive"

    def make() -> None:
        if "vyos-seed-a" not in lab.leftovers():
            left_behind(lab, "vyos-seed-a", OURS.written())

    make()
    kills = 0
    for line in killed_at_each_line(swept(lab, is_live, now=LATER).reap, sweep, cleanup, every=every):
        swept(lab, is_live, now=LATER).reap()
        assert sorted(lab.leftovers()) == ["alive", "alive", "unrelated", "unrelated"], line
        make()
        kills += 1
    assert kills > 60 // every
    assert sorted(lab.leftovers()) == ["alive", "alive", "unrelated", "unrelated"]
