"""A second record of a release beside the first: which of them a seed may cost, replace, and be named by."""

from collections.abc import Iterator

import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.cli.lab import SITE
from hyops_assets.lab.ensemble import HETZNER_TOKEN_ENV
from hyops_assets.settings.sites import Sites
from tests.assets.ground import Ground
from tests.assets.house import RELEASE, House

SECOND = f"{RELEASE}-r2"
IMAGE = "core__hetzner__vyos-image-seed/latest.json"
TEMPLATE = "core__onprem__vyos-template-seed/latest.json"
VMID = 9150
AT = {"template_vm_id": VMID}
REPLACE = {**AT, "rebuild_if_exists": True}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def revised(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[House]:
    """A house that published two records, whose build slot names the second, and whose project makes one image a day.

    Each cloud is one test's.
    """
    with ground.environment("published", tmp_path_factory.mktemp("revised")) as home:
        sites = home.settings.sites
        site = sites.hetzner[SITE].model_copy(update={"paid_seeds_a_day": 1})
        home.configure(sites=Sites(proxmox=sites.proxmox, hetzner={SITE: site}))
        home.graph().build(SECOND)
        yield home


def test_an_older_record_moves_no_slot_and_a_seed_over_the_daily_cap_asks_for_nothing_until_a_person_goes_over_it(
    revised: House,
) -> None:
    home, graph = revised, revised.graph()
    graph.seed_hetzner(SITE, RELEASE)
    assert not (home.root.states / IMAGE).exists()

    before = home.mutations()
    with pytest.raises(RunFailed, match=r"DailyCapReached.*1 of 1 paid images were created at lab.*goes on at") as no:
        graph.seed_hetzner(SITE, SECOND)
    assert "--over-daily-cap" in str(no.value)
    assert home.mutations() == before
    # What is there is adopted all the same: it costs nothing.
    adopted = graph.seed_hetzner(SITE, RELEASE)
    assert adopted.metadata["hetzner_image"]["outcome"] == "adopted"
    assert home.mutations() == before

    created = graph.seed_hetzner(SITE, SECOND, {"over_daily_cap": True})
    assert created.metadata["hetzner_image"]["outcome"] == "created"
    assert HETZNER_TOKEN_ENV not in str(created.metadata)
    assert home.state(IMAGE)["outputs"]["image_version"] == SECOND


def test_a_vmid_is_replaced_when_that_is_asked_for_and_never_under_a_state_that_names_it(revised: House) -> None:
    home, graph = revised, revised.graph()
    # The build slot names the second record: seeding the first writes no state.
    graph.seed_proxmox(SITE, RELEASE, {**AT, "template_name": "edge", "cpu_cores": 3})
    assert not (home.root.states / TEMPLATE).exists()
    with pytest.raises(RunFailed, match="set rebuild_if_exists to replace it"):
        graph.seed_proxmox(SITE, SECOND, AT)
    assert not (home.root.states / TEMPLATE).exists()

    replaced = graph.seed_proxmox(SITE, SECOND, REPLACE).metadata["proxmox_template"]
    assert (replaced["vmid"], replaced["replaced"]) == (VMID, RELEASE)
    named = home.state(TEMPLATE)["outputs"]
    assert (named["template_vm_id"], named["template_image_version"]) == (VMID, SECOND)

    before = home.mutations()
    with pytest.raises(RunFailed, match=f"names VMID {VMID} as {SECOND}, and seeding {RELEASE} does not move it"):
        graph.seed_proxmox(SITE, RELEASE, REPLACE)
    assert (home.mutations(), home.state(TEMPLATE)["outputs"]) == (before, named)
