"""Two environments at one Hetzner project: each uses what the other made, and neither changes or removes it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.ownership import Claim
from hyops_assets.contract.references import IMAGE_SEED, StateRef
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.superseding import IMAGES, HeldImage, Policy, States
from hyops_assets.contract.upkeep import Finding, Verdict
from hyops_lab.hetzner.project import Image, Server
from resources.sites.cleanup import CleanupContext, judge
from resources.sites.hetzner.errors import SeedBusy
from resources.sites.hetzner.inventory import Snapshot
from resources.sites.hetzner.labels import Labels
from resources.sites.hetzner.superseded import standing, superseded_snapshots
from resources.sites.hetzner.sweep import Sweep, judge_seeder
from resources.sites.hetzner.workbench import seeder_name
from tests.hetzner_lab import ANOTHER, ENVIRONMENT, Lab, hetzner_lab, make_record

KEY = "vyos-1.5"
OLD, CURRENT = "2026.03.01-0027-rolling", "2026.03.02-0027-rolling"
DIGEST = "ab" * 32
BARE = Labels("image", KEY, OLD, DIGEST, DIGEST, "0123456789abcdef", "run-1", "ready")
BORN = datetime(2026, 1, 1, tzinfo=UTC)
IDS = (ENVIRONMENT, ANOTHER)
REQUEST = SeedRequest(record=make_record(), url="https://x", run_id="run-1", site="lab")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with hetzner_lab(tmp_path, monkeypatch) as lab:
        yield lab


def unknown(run_id: str) -> bool | None:
    return None


def snapshot(lab: Lab, labels: Labels, *, protected: bool = True) -> int:
    project = lab.standin.project
    id_ = project.new_id()
    project.contents.images[id_] = Image(
        id=id_,
        kind="snapshot",
        name=None,
        description=f"hyops-{labels.key}-{labels.version}",
        created=BORN,
        labels=labels.written(),
        image_gb=0.5,
        protected=protected,
    )
    return id_


def server(lab: Lab, name: str, labels: Labels) -> int:
    project = lab.standin.project
    id_ = project.new_id()
    project.contents.servers[id_] = Server(
        id=id_,
        name=name,
        type_name="cx23",
        location="fsn1",
        image_id=next(iter(project.contents.images)),
        ipv4=project.free_address(),
        created=project.now(),
        labels=labels.written(),
        status="off",
    )
    return id_


def of(lab: Lab, environment: str, **changes: object) -> Labels:
    """Labels as a seed of an environment writes them for the lab's record."""
    made = Labels.of(lab.request(environment=environment, run_id=f"run-of-{environment}"), role="image", expires=0)
    return replace(made.ready(), **changes)  # type: ignore[arg-type]


def naming(id_: int) -> States:
    outputs = {"image_ref": str(id_), "image_key": KEY, "image_version": CURRENT}
    state = ModuleState(
        module_ref=IMAGE_SEED,
        run_id="run",
        status="ok",
        updated_at=datetime.now(UTC),
        outputs=outputs,  # type: ignore[arg-type]
    )
    return [(StateRef(IMAGE_SEED), state)]


def cleaned(
    lab: Lab, environment: str | None, states: States, proves: Callable[[Claim, str], bool] = lambda claim, ref: False
) -> list[Finding]:
    ground = CleanupContext(
        where="lab",
        instance=None,
        states=lambda: states,
        at_work=lambda: None,
        policy=Policy(keep=0, keep_days=0),
        clock=time.time,
        forget=lambda version: None,
        environment=environment,
        proves=proves,
    )
    return superseded_snapshots(lab.client(), lab.site, ground).reap()


def why(findings: list[Finding], id_: int) -> tuple[str, str]:
    (found,) = [finding for finding in findings if f"({id_})" in finding.what]
    return found.verdict, found.why


def ids(lab: Lab) -> set[int]:
    return {one.id for one in lab.snapshots()}


def test_what_another_environments_state_names_is_not_removed(lab: Lab) -> None:
    """The other environment stands at an older version than this one: its state is not seen here, its label is."""
    theirs = snapshot(lab, BARE.made_by(ANOTHER))
    current = snapshot(lab, replace(BARE, version=CURRENT).made_by(ENVIRONMENT))

    findings = cleaned(lab, ENVIRONMENT, naming(current))

    assert why(findings, theirs) == ("keep", f"belongs to environment {ANOTHER}")
    assert ids(lab) == {theirs, current}
    assert lab.mutations() == 0


def test_what_names_no_environment_is_left_to_a_person_unless_it_is_proven_to_be_ours(lab: Lab) -> None:
    older, ours = snapshot(lab, BARE), snapshot(lab, replace(BARE, run_id="ours"))
    current = snapshot(lab, replace(BARE, version=CURRENT))

    findings = cleaned(lab, ENVIRONMENT, naming(current), lambda claim, ref: claim.run_id == "ours")

    assert why(findings, older)[0] == "by hand"
    assert "it names no environment" in why(findings, older)[1]
    assert why(findings, ours) == ("removed", f"superseded by {CURRENT}")
    assert ids(lab) == {older, current}


def test_a_label_that_was_changed_to_name_this_environment_removes_nothing(lab: Lab) -> None:
    edited = snapshot(lab, replace(BARE.made_by(ANOTHER), environment=ENVIRONMENT))
    current = snapshot(lab, replace(BARE, version=CURRENT).made_by(ENVIRONMENT))

    findings = cleaned(lab, ENVIRONMENT, naming(current))

    assert why(findings, edited)[0] == "by hand"
    assert edited in ids(lab)


def test_others_snapshots_do_not_count_against_what_is_kept(lab: Lab) -> None:
    theirs = snapshot(lab, replace(BARE, version=CURRENT).made_by(ANOTHER))
    old = snapshot(lab, BARE.made_by(ENVIRONMENT))
    current = snapshot(lab, replace(BARE, version="2026.03.05-0027-rolling").made_by(ENVIRONMENT))
    states = naming(current)
    states[0][1].outputs["image_version"] = "2026.03.05-0027-rolling"

    cleaned(lab, ENVIRONMENT, states)

    assert ids(lab) == {theirs, current}, old


def test_a_ready_snapshot_of_another_environment_is_adopted_without_a_changing_call(lab: Lab) -> None:
    theirs = snapshot(lab, of(lab, ANOTHER), protected=False)

    seeded = lab.seeder(is_live=unknown).seed(lab.request())

    assert (seeded.outcome, seeded.image_ref, seeded.owner.whose) == ("adopted", str(theirs), "another's")
    assert lab.mutations() == 0
    assert not lab.standin.project.contents.images[theirs].protected


def test_an_own_snapshot_is_adopted_before_another_environments(lab: Lab) -> None:
    snapshot(lab, of(lab, ANOTHER))
    own = snapshot(lab, of(lab, ENVIRONMENT))

    seeded = lab.seeder(is_live=unknown).seed(lab.request())

    assert (seeded.image_ref, seeded.owner.ours) == (str(own), True)


@pytest.mark.parametrize("named", [None, ANOTHER])
def test_a_seed_of_another_environment_at_work_is_waited_for_and_nothing_is_made_twice(
    lab: Lab, named: str | None
) -> None:
    soon = int(time.time()) + 3600
    labels = of(lab, ANOTHER, state="pending", expires=soon)
    labels = labels if named else replace(labels, environment=None, seal=None)
    theirs = snapshot(lab, labels, protected=False)
    lab.standin.project.contents.images[theirs].created = datetime.now(UTC)
    with pytest.raises(SeedBusy, match="may be another environment's seed of this record, at work until"):
        lab.seeder(is_live=unknown).seed(lab.request())
    del lab.standin.project.contents.images[theirs]
    server(lab, "vyos-seed-1", replace(labels, role="seeder"))
    with pytest.raises(SeedBusy, match="server vyos-seed-1 may be another"):
        lab.seeder(is_live=unknown).seed(lab.request())
    assert lab.mutations() == 0


def test_what_a_dead_seed_of_another_environment_left_keeps_no_seed_out_and_stays(lab: Lab) -> None:
    over = int(time.time()) - 3 * 86400
    pending = snapshot(lab, of(lab, ANOTHER, state="pending", expires=over), protected=False)
    lab.standin.project.contents.images[pending].created = datetime.fromtimestamp(over - 3600, UTC)
    left = server(
        lab,
        seeder_name(lab.request(environment=ANOTHER)),
        of(lab, ANOTHER, role="seeder", state="pending", expires=over),
    )
    lab.standin.project.contents.servers[left].created = datetime.fromtimestamp(over - 3600, UTC)

    seeded = lab.seeder(is_live=unknown).seed(lab.request())

    assert (seeded.outcome, seeded.owner.ours) == ("created", True)
    assert seeded.labels["hyops_environment"] == ENVIRONMENT
    images = lab.standin.project.contents.images
    assert images[pending].labels["hyops_state"] == "pending"
    assert lab.leftovers() == [seeder_name(lab.request(environment=ANOTHER))]


def test_a_pending_snapshot_of_this_environment_is_committed_as_before(lab: Lab) -> None:
    own = snapshot(lab, of(lab, ENVIRONMENT, state="pending", expires=int(time.time()) + 60), protected=False)

    seeded = lab.seeder(is_live=unknown).seed(lab.request())

    assert (seeded.outcome, seeded.image_ref) == ("resumed", str(own))


@pytest.mark.parametrize("sweeping", [ENVIRONMENT, None])
def test_a_sweep_leaves_another_environments_servers_and_says_whose_they_are(lab: Lab, sweeping: str | None) -> None:
    labels = replace(of(lab, ANOTHER), role="seeder", state="pending", expires=int(time.time()))
    server(lab, "vyos-seed-1", labels)
    late = time.time() + 30 * 86400

    (finding,) = Sweep(lab.client(), "lab", environment=sweeping, is_live=unknown, clock=lambda: late).reap()

    assert (finding.verdict, finding.why) == ("keep", f"belongs to environment {ANOTHER}")
    assert lab.leftovers() == ["vyos-seed-1"]
    assert lab.mutations() == 0


@pytest.mark.parametrize(("live", "verdict"), [(None, "by hand"), (False, "removed"), (True, "keep")])
def test_an_older_server_is_removed_only_where_its_run_is_known_here_and_has_ended(
    lab: Lab, live: bool | None, verdict: Verdict
) -> None:
    server(lab, "vyos-seed-1", replace(BARE, role="seeder", state="pending", expires=1))
    late = time.time() + 30 * 86400

    (finding,) = Sweep(
        lab.client(), "lab", environment=ENVIRONMENT, is_live=lambda run: live, clock=lambda: late
    ).reap()

    assert finding.verdict == verdict


def test_seeds_of_two_environments_have_servers_of_different_names() -> None:
    names = {seeder_name(replace(REQUEST, environment=one)) for one in (None, *IDS)}
    assert len(names) == 3


@dataclass(frozen=True)
class Thing:
    """A snapshot of a small world: who really made it, what is written on it, and whether a run of it is known."""

    maker: str
    said: str | None
    sealed_for: str | None
    known: bool
    version: str
    state: str
    protected: bool


THINGS = st.builds(
    Thing,
    maker=st.sampled_from(IDS),
    said=st.sampled_from([None, *IDS, "x"]),
    sealed_for=st.sampled_from([None, *IDS]),
    known=st.booleans(),
    version=st.sampled_from([OLD, CURRENT]),
    state=st.sampled_from(["pending", "ready"]),
    protected=st.booleans(),
)


def honest(thing: Thing) -> bool:
    """Whether the world is one that can be: seals are written for the maker, runs known where they ran."""
    return thing.sealed_for in (None, thing.maker) and (not thing.known or thing.maker == ENVIRONMENT)


@given(st.lists(THINGS.filter(honest), max_size=5))
def test_in_no_world_is_anything_removed_that_another_environment_made(things: list[Thing]) -> None:
    shown: list[tuple[Thing, Snapshot]] = []
    for number, thing in enumerate(things):
        labels = replace(BARE, version=thing.version, state=thing.state)  # type: ignore[arg-type]
        seal = labels.made_by(thing.sealed_for).seal if thing.sealed_for else None
        written = replace(labels, environment=thing.said, seal=seal)
        shown.append((thing, _shown(number, written, protected=thing.protected)))
    ground = CleanupContext(
        where="lab",
        instance=None,
        states=lambda: naming(99),
        at_work=lambda: None,
        policy=Policy(keep=0, keep_days=0),
        clock=time.time,
        forget=lambda version: None,
        environment=ENVIRONMENT,
        proves=lambda claim, ref: shown[int(ref)][0].known,
    )
    for thing, one in shown:
        labels = Labels.parse(one.labels)
        assert labels is not None
        owner = ground.owner_of(labels.claim, str(one.id))
        held = [HeldImage(str(one.id), KEY, thing.version, BORN)] if owner.ours and thing.state == "ready" else []
        versions = ground.judge(held, naming(99), IMAGES, lambda current: None)
        judged = judge(standing(one, protect=True), owner, mentions={}, used={}, versions=versions)
        assert judged is not None
        seeder = replace(labels, role="seeder", expires=1)
        swept = judge_seeder(
            seeder,
            BORN,
            environment=ENVIRONMENT,
            now=time.time(),
            is_live=lambda run, thing=thing: False if thing.known else None,
        )
        if "remove" in (judged[0], swept[0]):
            assert thing.maker == ENVIRONMENT
        if thing.said == ANOTHER:
            assert judged == swept == ("keep", f"belongs to environment {ANOTHER}")


def _shown(id_: int, labels: Labels, *, protected: bool) -> Snapshot:
    return Snapshot(
        id=id_,
        description=f"hyops-{KEY}-{labels.version}",
        labels=labels.written(),
        status="available",
        protected=protected,
        created=BORN,
        architecture="x86",
        disk_gb=1,
        image_gb=0.5,
        server_id=None,
    )
