"""Two environments at one Proxmox VE node: each uses what the other made, and neither changes or removes it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_assets.contract.ownership import Claim
from hyops_assets.contract.references import TEMPLATE_SEED, StateRef
from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.contract.state import ModuleState
from hyops_assets.contract.superseding import Policy, States
from hyops_assets.contract.upkeep import Finding, IsLive, Verdict
from resources.sites.cleanup import CleanupContext
from resources.sites.proxmox.errors import SeedBusy, TaskFailed, VmidTaken
from resources.sites.proxmox.facts import TemplateFacts
from resources.sites.proxmox.lineage import TemplateLineage, description_of, parse_lineage
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.superseded import superseded_templates
from resources.sites.proxmox.sweep import Sweep, judge_machine
from tests.hetzner_lab import ANOTHER, ENVIRONMENT
from tests.proxmox_scene import Scene, proxmox_scene

OLD, CURRENT = "2026.03.01-0027-rolling", "2026.03.04-0027-rolling"
REPLACE = TemplateOptions(template_vm_id=9200, rebuild_if_exists=True)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def unknown(run_id: str) -> bool | None:
    return None


def seeder(scene: Scene, is_live: IsLive = unknown, **site: object) -> ProxmoxSeeder:
    client = scene.client(**site)
    return ProxmoxSeeder(client, client.site, is_live=is_live)


def theirs(scene: Scene, version: str | None = None) -> SeedRequest:
    request = scene.request() if version is None else scene.other(version=version)
    return replace(request, environment=ANOTHER, run_id="their-run")


def half_made(scene: Scene) -> int:
    """What a seed of the other environment leaves whose smoke clone never came up."""
    with pytest.raises(TaskFailed, match="boots no guests"):
        seeder(scene, template_smoke_gate=True).seed(theirs(scene))
    (vmid,) = scene.templates()
    return vmid


def rewrite(scene: Scene, vmid: int, **changes: object) -> None:
    config = scene.machine(vmid).config
    lineage = parse_lineage(str(config["description"]))
    assert lineage is not None
    config["description"] = description_of(lineage.model_copy(update=changes))


def naming(vmid: int, version: str) -> States:
    outputs = {"template_vm_id": vmid, "template_key": "vyos-1.5", "template_image_version": version}
    state = ModuleState(
        module_ref=TEMPLATE_SEED,
        run_id="run",
        status="ok",
        updated_at=datetime.now(UTC),
        outputs=outputs,  # type: ignore[arg-type]
    )
    return [(StateRef(TEMPLATE_SEED), state)]


def cleaned(
    scene: Scene, states: States, proves: Callable[[Claim, str], bool] = lambda claim, ref: False
) -> dict[str, tuple[str, str]]:
    ground = CleanupContext(
        where="lab",
        instance=None,
        states=lambda: states,
        at_work=lambda: None,
        policy=Policy(keep=0, keep_days=0),
        clock=time.time,
        forget=lambda version: None,
        environment=ENVIRONMENT,
        proves=proves,
    )
    findings = superseded_templates(scene.client(), ground).reap()
    return {finding.what.rpartition("(")[2].rstrip(")"): (finding.verdict, finding.why) for finding in findings}


def swept(scene: Scene, is_live: IsLive = unknown, *, now: float = 4e9) -> list[Finding]:
    client = scene.client()
    return Sweep(
        client,
        "lab",
        environment=ENVIRONMENT,
        is_live=is_live,
        at_work=lambda: None,
        clock=lambda: now,
    ).reap()


def test_what_another_environments_state_names_is_not_removed_and_an_older_one_only_if_it_is_ours(
    scene: Scene,
) -> None:
    old = seeder(scene).seed(theirs(scene, OLD)).vmid
    current = seeder(scene).seed(scene.other(version=CURRENT)).vmid
    before = scene.mutations()
    states = naming(current, CURRENT)

    assert cleaned(scene, states)[str(old)] == ("keep", f"belongs to environment {ANOTHER}")
    rewrite(scene, old, environment=ENVIRONMENT)
    assert cleaned(scene, states)[str(old)][0] == "by hand"
    rewrite(scene, old, environment=None, seal=None)
    assert cleaned(scene, states)[str(old)][0] == "by hand"
    assert (scene.mutations(), scene.templates()) == (before, [old, current])
    assert cleaned(scene, states, lambda claim, ref: claim.run_id == "their-run")[str(old)][0] == "removed"
    assert scene.templates() == [current]


def test_a_ready_template_of_another_environment_is_adopted_without_a_changing_call(scene: Scene) -> None:
    made = seeder(scene).seed(theirs(scene))
    before = scene.mutations()

    adopted = seeder(scene).seed(scene.request())

    assert (adopted.outcome, adopted.vmid, adopted.owner.whose) == ("adopted", made.vmid, "another's")
    assert scene.mutations() == before


def test_an_own_template_is_adopted_before_another_environments(scene: Scene) -> None:
    first = seeder(scene).seed(theirs(scene)).vmid
    rewrite(scene, first, state="building", expires=1)
    own = seeder(scene).seed(scene.request()).vmid
    rewrite(scene, first, state="ready", expires=None)

    adopted = seeder(scene).seed(scene.request())

    assert (adopted.vmid, adopted.owner.ours, own != first) == (own, True, True)


def test_a_seed_of_another_environment_at_work_is_waited_for_and_one_that_is_over_keeps_no_seed_out(
    scene: Scene,
) -> None:
    vmid = half_made(scene)
    before = scene.machine(vmid).config.copy()
    with pytest.raises(SeedBusy, match=f"VMID {vmid} may be another environment's seed"):
        seeder(scene).seed(scene.request())
    rewrite(scene, vmid, expires=1)

    own = seeder(scene).seed(scene.request())

    assert (own.outcome, own.vmid != vmid, own.lineage.environment) == ("created", True, ENVIRONMENT)
    assert {**scene.machine(vmid).config, "description": ""} == {**before, "description": ""}


@pytest.mark.seconds
def test_another_environments_template_is_not_replaced(scene: Scene) -> None:
    assert seeder(scene).seed(theirs(scene)).vmid == 9200
    before = scene.mutations()

    with pytest.raises(VmidTaken, match=f"belongs to environment {ANOTHER}"):
        seeder(scene).seed(scene.other(), REPLACE)
    rewrite(scene, 9200, environment=None, seal=None)
    with pytest.raises(VmidTaken, match="belongs to an environment that it does not name"):
        seeder(scene).seed(scene.other(), REPLACE)

    assert scene.mutations() == before
    assert seeder(scene, lambda run: False).seed(scene.other(), REPLACE).replaced


@pytest.mark.parametrize(("live", "verdict"), [(None, "by hand"), (False, "removed"), (True, "keep")])
def test_a_sweep_leaves_what_is_not_ours_and_says_whose_it_is(
    scene: Scene, live: bool | None, verdict: Verdict
) -> None:
    vmid = half_made(scene)

    (finding,) = swept(scene)
    assert (finding.verdict, finding.why) == ("keep", f"belongs to environment {ANOTHER}")
    rewrite(scene, vmid, environment=ENVIRONMENT)
    assert swept(scene)[0].verdict == "by hand"
    assert scene.templates() == [vmid]

    rewrite(scene, vmid, environment=None, seal=None)
    assert swept(scene, lambda run: live)[0].verdict == verdict


@given(
    maker=st.sampled_from([ENVIRONMENT, ANOTHER]),
    said=st.sampled_from([None, ENVIRONMENT, ANOTHER, "x"]),
    sealed=st.booleans(),
    known=st.booleans(),
    smoke=st.booleans(),
)
def test_in_no_world_does_a_sweep_remove_what_another_environment_made(
    maker: str, said: str | None, sealed: bool, known: bool, smoke: bool
) -> None:
    known = known and maker == ENVIRONMENT
    digest = "ab" * 32
    lineage = TemplateLineage(
        vmid=9200,
        node="pve1",
        key="vyos-1.5",
        version=OLD,
        record_digest=digest,
        disk_sha256=digest,
        qcow2_sha256=digest,
        source_url="https://objects.example/vyos.qcow2",
        seed_id="0123456789abcdef",
        run_id="run",
        state="building",
        expires=1,
        smoke_of=9201 if smoke else None,
    ).made_by(maker)
    lineage = lineage.model_copy(update={"environment": said, "seal": lineage.seal if sealed else None})
    facts = TemplateFacts(
        vmid=9200,
        node="pve1",
        name="smoke-9200" if smoke else "vyos",
        template=not smoke,
        lock=None,
        tags="",
        protection=False,
        volid=None,
        disk_size_bytes=None,
        base=False,
        thick=False,
        shared=False,
        digest="",
        hardware={},
        lineage=lineage,
    )

    judged = judge_machine(
        facts,
        environment=ENVIRONMENT,
        now=time.time(),
        is_live=lambda run: False if known else None,
        at_work=None,
        tasks=frozenset(),
    )

    assert judged is not None
    if judged[0] == "remove":
        assert maker == ENVIRONMENT
    if said == ANOTHER:
        assert judged == ("keep", f"belongs to environment {ANOTHER}")
