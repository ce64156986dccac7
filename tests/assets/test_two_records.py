"""A second record of a release beside the first: what differs, and what a seed may cost, replace and be named by."""

import json
from collections.abc import Iterator

import dagster as dg
import pytest

from hyops_assets.cli.graph import RunFailed
from hyops_assets.contract.evidence import Contract, Evidence
from hyops_assets.settings.sites import Sites
from hyops_lab.cli.lab import SITE
from hyops_lab.ensemble import HETZNER_TOKEN_ENV
from resources.artifacts.store import ArtifactStore
from tests.assets.environment import RELEASE, LabEnvironment
from tests.assets.ground import Ground
from tests.clouds import HETZNER, PROXMOX

SECOND = f"{RELEASE}-r2"
BUILD = "core__shared__vyos-image-build/instances/vyos_default_build.json"
IMAGE = "core__hetzner__vyos-image-seed/latest.json"
TEMPLATE = "core__onprem__vyos-template-seed/latest.json"
VMID = 9150
AT = {"template_vm_id": VMID}
REPLACE = {**AT, "rebuild_if_exists": True}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def revised(tmp_path_factory: pytest.TempPathFactory, ground: Ground) -> Iterator[LabEnvironment]:
    """Two records were published, the build slot names the second, and the project makes one image a day.

    The second has a package less. Each cloud is one test's.
    """
    with ground.environment("published", tmp_path_factory.mktemp("revised")) as home:
        sites = home.settings.sites
        site = sites.hetzner[SITE].model_copy(update={"paid_seeds_a_day": 1})
        home.configure(
            sites=Sites(proxmox=sites.proxmox, hetzner={SITE: site}),
            build=home.settings.build.model_copy(update={"packages": ["cloud-init", "qemu-guest-agent"]}),
        )
        home.graph().build(SECOND)
        yield home


def test_a_record_has_its_bill_of_materials_and_a_revision_tells_which_packages_changed(
    revised: LabEnvironment,
) -> None:
    home = revised
    store = ArtifactStore(home.root.artifacts)
    first, second = (store.read_document("published_contract", version, Contract) for version in (RELEASE, SECOND))
    bills = [json.loads(read(home, contract.sbom_url)) for contract in (first, second)]
    names = [{component["name"] for component in bill["components"]} for bill in bills]
    assert {"cloud-init", "qemu-guest-agent", "base-files"} <= names[0]
    assert bills[0]["metadata"]["component"]["hashes"][0]["content"] == first.record.disk.sha256

    changes = Evidence.model_validate_json(read(home, second.evidence_url)).package_changes
    assert changes is not None
    assert changes.former == RELEASE
    assert set(changes.removed) == names[0] - names[1]
    assert "cloud-guest-utils" in changes.removed
    assert not changes.added
    assert not changes.changed
    assert f"| cloud-guest-utils | {changes.removed['cloud-guest-utils']} | - |" in shown(home)
    assert Evidence.model_validate_json(read(home, first.evidence_url)).package_changes is None
    assert home.state(BUILD)["outputs"]["sbom_url"] == second.sbom_url


def read(home: LabEnvironment, url: str) -> bytes:
    return next(content for name, content in home.published().items() if url.endswith(f"/{name}"))


def shown(home: LabEnvironment) -> str:
    """What the UI shows of the packages of the second record."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("published_contract"), asset_partitions=[SECOND])
    (published,) = home.instance.fetch_materializations(wanted, limit=1).records
    assert published.asset_materialization is not None
    return str(published.asset_materialization.metadata[f"packages since {RELEASE}"].value)


def test_an_older_record_moves_no_slot_and_a_seed_over_the_daily_cap_asks_for_nothing_until_a_person_goes_over_it(
    revised: LabEnvironment,
) -> None:
    home, graph = revised, revised.graph()
    graph.seed(HETZNER, SITE, RELEASE)
    assert not (home.root.states / IMAGE).exists()

    before = home.mutations()
    with pytest.raises(RunFailed, match=r"DailyCapReached.*1 of 1 paid images were created at lab.*goes on at") as no:
        graph.seed(HETZNER, SITE, SECOND)
    assert "--over-daily-cap" in str(no.value)
    assert home.mutations() == before
    # What is there is adopted all the same: it costs nothing.
    adopted = graph.seed(HETZNER, SITE, RELEASE)
    assert adopted.metadata["hetzner_image"]["outcome"] == "adopted"
    assert home.mutations() == before

    created = graph.seed(HETZNER, SITE, SECOND, {"over_daily_cap": True})
    assert created.metadata["hetzner_image"]["outcome"] == "created"
    assert HETZNER_TOKEN_ENV not in str(created.metadata)
    assert home.state(IMAGE)["outputs"]["image_version"] == SECOND


def test_a_vmid_is_replaced_when_that_is_asked_for_and_never_under_a_state_that_names_it(
    revised: LabEnvironment,
) -> None:
    home, graph = revised, revised.graph()
    # The build slot names the second record: seeding the first writes no state.
    graph.seed(PROXMOX, SITE, RELEASE, {**AT, "template_name": "edge", "cpu_cores": 3})
    assert not (home.root.states / TEMPLATE).exists()
    with pytest.raises(RunFailed, match="set rebuild_if_exists to replace it"):
        graph.seed(PROXMOX, SITE, SECOND, AT)
    assert not (home.root.states / TEMPLATE).exists()

    replaced = graph.seed(PROXMOX, SITE, SECOND, {**REPLACE, "template_name": "edge-2"}).metadata["proxmox_template"]
    assert (replaced["vmid"], replaced["replaced"]) == (VMID, RELEASE)
    named = home.state(TEMPLATE)["outputs"]
    assert (named["template_vm_id"], named["template_image_version"]) == (VMID, SECOND)
    assert named["template_name"] == home.lab.proxmox.inventory.machines[VMID].config["name"] == "edge-2"

    before = home.mutations()
    with pytest.raises(RunFailed, match=f"names VMID {VMID} as {SECOND}, and seeding {RELEASE} does not move it"):
        graph.seed(PROXMOX, SITE, RELEASE, REPLACE)
    assert (home.mutations(), home.state(TEMPLATE)["outputs"]) == (before, named)
