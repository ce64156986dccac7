"""Superseded snapshots: each reason to leave one alone, and what is removed; killed anywhere, nothing else is gone."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.references import HETZNER_EDGES, IMAGE_SEED, StateRef
from hyops_assets.contract.state import ModuleState, Outputs, Status
from hyops_assets.contract.superseding import Policy, States
from hyops_assets.contract.upkeep import Finding
from hyops_lab.faults import Answer
from hyops_lab.hetzner.project import Image, Server
from resources.sites import cleanup
from resources.sites.cleanup import CleanupContext, Removal, SiteObject
from resources.sites.hetzner import superseded
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.superseded import superseded_snapshots
from tests.hetzner_lab import ENVIRONMENT, Lab, hetzner_lab
from tests.killing import killed_at_each_line, kills

KEY = "vyos-1.5"
OLDER, OLD, CURRENT, NEWER = (f"2026.03.0{day}-0027-rolling" for day in (1, 2, 3, 4))
DIGEST = "ab" * 32
READY = Labels("image", KEY, OLD, DIGEST, DIGEST, "0123456789abcdef", "run-1", "ready").made_by(ENVIRONMENT)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


def snapshot(lab: Lab, version: str, *, protected: bool = True, **changes: object) -> int:
    """A snapshot as a finished seed leaves it; `changes` are of its labels."""
    project = lab.standin.project
    id_ = project.new_id()
    labels = replace(READY, version=version, **changes)  # type: ignore[arg-type]
    project.contents.images[id_] = Image(
        id=id_,
        kind="snapshot",
        name=None,
        description=f"hyops-{KEY}-{version}",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        labels=labels.written(),
        image_gb=0.5,
        protected=protected,
    )
    return id_


def naming(ref: int | str, version: str = CURRENT, status: Status = "ok") -> tuple[StateRef, ModuleState]:
    outputs: Outputs = {"image_ref": str(ref), "image_key": KEY, "image_version": version}
    return state(IMAGE_SEED, outputs, status=status)


def state(
    module: str, outputs: Outputs, *, instance: str | None = None, status: Status = "ok"
) -> tuple[StateRef, ModuleState]:
    moment = datetime.now(UTC)
    made = ModuleState(module_ref=module, run_id="run", status=status, updated_at=moment, outputs=outputs)
    return StateRef(module, instance), made


def pruned(
    lab: Lab,
    states: States | Callable[[], States],
    *,
    at_work: Callable[[], str | None] = lambda: None,
    forget: Callable[[str], None] = lambda version: None,
    keep: int = 0,
) -> Removal[SiteObject[Snapshot]]:
    ground = CleanupContext(
        where="lab",
        instance=None,
        states=states if callable(states) else lambda: states,
        at_work=at_work,
        policy=Policy(keep=keep, keep_days=0),
        clock=time.time,
        forget=forget,
        environment=ENVIRONMENT,
        proves=lambda claim, ref: False,
    )
    return superseded_snapshots(lab.client(), lab.site, ground)


def ids(lab: Lab) -> list[int]:
    return sorted(one.id for one in lab.snapshots())


def why(findings: Sequence[Finding], id_: int) -> tuple[str, str]:
    (found,) = [finding for finding in findings if f"({id_})" in finding.what]
    return found.verdict, found.why


def test_superseded_snapshots_are_removed_their_protection_lifted_and_no_longer_expected(lab: Lab) -> None:
    for version in (OLDER, OLD):
        snapshot(lab, version)
    current, newer = snapshot(lab, CURRENT), snapshot(lab, NEWER)
    forgotten: list[str] = []

    findings = pruned(lab, [naming(current)], forget=forgotten.append).reap()

    assert [finding.verdict for finding in findings] == ["removed", "removed", "keep", "keep"]
    assert ids(lab) == [current, newer]
    assert forgotten == [OLDER, OLD]


def test_a_plan_changes_nothing(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    before = lab.mutations()

    findings = pruned(lab, [naming(current)]).find()

    assert why(findings, old) == ("remove", f"superseded by {CURRENT}")
    assert (lab.mutations(), ids(lab)) == (before, [old, current])


def test_one_that_is_renamed_between_two_looks_is_found_again_by_its_id(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)

    def renamed_meanwhile() -> States:
        # States are read after the project was.
        lab.standin.project.contents.images[old].description = "another name"
        return [naming(current)]

    assert why(pruned(lab, renamed_meanwhile).reap(), old)[0] == "removed"
    assert ids(lab) == [current]


def test_what_policy_keeps_stays(lab: Lab) -> None:
    older, old, current = snapshot(lab, OLDER), snapshot(lab, OLD), snapshot(lab, CURRENT)

    pruned(lab, [naming(current)], keep=1).reap()

    assert older not in ids(lab)
    assert ids(lab) == [old, current]


def refused(lab: Lab, old: int, states: States, words: str, verdict: str = "unknown") -> None:
    before = lab.mutations()
    found = why(pruned(lab, states).reap(), old)
    assert found[0] == verdict, found
    assert words in found[1], found
    assert old in ids(lab)
    assert lab.mutations() == before


def test_without_an_active_state_nothing_goes(lab: Lab) -> None:
    refused(lab, snapshot(lab, OLD), [], "is missing")


@pytest.mark.parametrize("status", ["running", "error"])
def test_with_a_state_that_is_not_ok_nothing_goes(lab: Lab, status: Status) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    refused(lab, old, [naming(current, status=status)], f"is {status}")
    edges = state(HETZNER_EDGES, {}, instance="edge", status=status)
    refused(lab, old, [naming(current), edges], f"vyos-edge-foundation#edge is {status}")


def test_where_the_current_snapshot_is_gone_nothing_goes(lab: Lab) -> None:
    refused(lab, snapshot(lab, OLD), [naming(4711)], "names snapshot 4711, which the project does not hold")


def test_where_the_current_snapshot_is_not_available_nothing_goes(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    lab.standin.project.contents.images[current].status = "unavailable"
    refused(lab, old, [naming(current)], "which is unavailable")


def test_where_the_current_snapshot_holds_another_version_than_the_state_says_nothing_goes(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, NEWER)
    refused(lab, old, [naming(current)], f"labelled {NEWER}, ready, not {CURRENT}, ready")


def test_a_snapshot_that_any_state_mentions_stays(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    edges = state(HETZNER_EDGES, {"edges": [{"image": str(old)}]}, instance="edge")
    refused(lab, old, [naming(current), edges], "vyos-edge-foundation#edge names it", "keep")


def test_a_snapshot_that_another_sites_state_mentions_by_its_name_stays(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    other = state(IMAGE_SEED, {"image_description": f"hyops-{KEY}-{OLD}"}, instance="second")
    refused(lab, old, [naming(current), other], "vyos-image-seed#second names it", "keep")


def test_a_snapshot_that_a_server_was_made_from_stays(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    project = lab.standin.project
    id_ = project.new_id()
    project.contents.servers[id_] = Server(
        id=id_,
        name="edge-01",
        type_name="cx23",
        location="fsn1",
        image_id=old,
        ipv4=project.free_address(),
        created=datetime.now(UTC),
        status="running",
    )
    refused(lab, old, [naming(current)], "server edge-01 was made from it", "keep")


def test_while_a_seed_is_at_work_at_the_site_nothing_goes(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    assert why(pruned(lab, [naming(current)], at_work=lambda: "r1").reap(), old) == (
        "keep",
        "run r1 seeds at this site",
    )
    assert old in ids(lab)


def test_a_protected_snapshot_stays_where_the_site_protects_none(lab: Lab) -> None:
    lab.site = lab.site.model_copy(update={"protect": False})
    mine, old, current = snapshot(lab, OLDER), snapshot(lab, OLD, protected=False), snapshot(lab, CURRENT)

    findings = pruned(lab, [naming(current)]).reap()

    assert why(findings, mine) == ("keep", "somebody protected it: the site's settings do not")
    assert ids(lab) == [mine, current]
    assert old not in ids(lab)


def test_an_unfinished_snapshot_stays_for_its_next_seed(lab: Lab) -> None:
    old, current = snapshot(lab, OLD, state="pending"), snapshot(lab, CURRENT)
    refused(lab, old, [naming(current)], "its seed is not finished", "keep")


def test_another_keys_snapshot_stays(lab: Lab) -> None:
    old, current = snapshot(lab, OLD, key="vyos-1.5-stream"), snapshot(lab, CURRENT)
    refused(lab, old, [naming(current)], "no state says which version of vyos-1.5-stream", "keep")


@pytest.mark.parametrize("missing", ["hyops_state", "hyops_record_hi", "hyops_managed_by", "hyops_seed_id"])
def test_a_snapshot_that_is_labelled_by_halves_is_left_to_a_person(lab: Lab, missing: str) -> None:
    """HybridOps labels key and version only: its snapshots are not provably ours."""
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    del lab.standin.project.contents.images[old].labels[missing]
    refused(lab, old, [naming(current)], f"hcloud image delete {old}", "by hand")


def test_another_owner_s_snapshot_is_no_finding_whatever_its_name(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    lab.standin.project.contents.images[old].labels = {"team": "web"}
    findings = pruned(lab, [naming(current)]).reap()
    assert len(findings) == 1
    assert old in ids(lab)


def test_a_snapshot_that_a_state_mentions_since_it_was_listed_stays(lab: Lab) -> None:
    """States and site are read once more right before, for each."""
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    edges = state(HETZNER_EDGES, {"image": str(old)}, instance="edge")
    answers = iter([[naming(current)]])

    findings = pruned(lab, lambda: next(answers, [naming(current), edges])).reap()

    assert why(findings, old) == ("keep", f"{HETZNER_EDGES}#edge names it")
    assert lab.standin.project.contents.images[old].protected


def test_a_snapshot_that_is_wanted_once_its_protection_was_lifted_is_protected_again(lab: Lab) -> None:
    old, current = snapshot(lab, OLD), snapshot(lab, CURRENT)
    answers = iter([[naming(current)]] * 2)
    edges = state(HETZNER_EDGES, {"image": str(old)}, instance="edge")

    forgotten: list[str] = []
    findings = pruned(lab, lambda: next(answers, [naming(current), edges]), forget=forgotten.append).reap()

    assert why(findings, old)[0] == "keep"
    assert lab.standin.project.contents.images[old].protected
    assert forgotten == [], "it stands, and is expected to"


def test_one_that_cannot_be_removed_stops_no_other(lab: Lab) -> None:
    older, old, current = snapshot(lab, OLDER), snapshot(lab, OLD), snapshot(lab, CURRENT)
    lab.fault("DELETE", r"/images/\d+", Answer(403, "forbidden"), 1)

    findings = pruned(lab, [naming(current)]).reap()

    assert (why(findings, older)[0], why(findings, old)[0]) == ("failed", "removed")
    assert ids(lab) == [older, current]


def test_states_that_cannot_be_read_stop_everything(lab: Lab) -> None:
    old = snapshot(lab, OLD)

    def unreadable() -> States:
        raise HyopsError("a state cannot be read", hint="mend it")

    with pytest.raises(HyopsError, match="cannot be read"):
        pruned(lab, unreadable).reap()
    assert old in ids(lab)


@pytest.mark.seconds
@kills(some=59, of_all=8)
def test_killed_at_any_line_nothing_else_is_gone_and_the_next_one_ends_the_work(lab: Lab, every: int) -> None:
    current, newer = snapshot(lab, CURRENT), snapshot(lab, NEWER)
    work = pruned(lab, [naming(current)])
    snapshot(lab, OLD)
    kills = 0
    for line in killed_at_each_line(work.reap, superseded, cleanup, every=every):
        work.reap()
        assert ids(lab) == [current, newer], line
        snapshot(lab, OLD)
        kills += 1
    assert kills > 80 // every
    assert ids(lab) == [current, newer]
