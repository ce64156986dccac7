"""Several nodes of one cluster as several sites: a template per node, or one for all where the storage is shared."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hyops_assets.contract.seed_options import TemplateOptions
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.image.digests import sha256_of_file
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.errors import NodeUnreachable, NoSuchObject, SeedBusy, SiteNotReady
from resources.sites.proxmox.lineage import description_of
from resources.sites.proxmox.seed import ProxmoxSeeder
from tests.proxmox_scene import Scene, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path, nodes=("pve1", "pve2")) as scene:
        yield scene


def at_the_second(scene: Scene) -> SeedRequest:
    request = scene.request()
    return SeedRequest(record=request.record, url=request.url, run_id="run-2", site="second")


def test_nodes_with_storage_of_their_own_have_a_template_each(scene: Scene) -> None:
    first = scene.seeder().seed(scene.request())
    second = scene.seeder(node="pve2").seed(at_the_second(scene))

    assert (first.node, first.vmid) == ("pve1", 9200)
    assert (second.outcome, second.node, second.vmid) == ("created", "pve2", 9201)
    disk = scene.stand_in.storages_of["pve2"].path(second.volid)
    assert sha256_of_file(disk) == scene.record.disk.sha256
    before = scene.mutations()
    assert scene.seeder().seed(scene.request()).vmid == 9200
    assert scene.seeder(node="pve2").seed(at_the_second(scene)).vmid == 9201
    assert scene.mutations() == before


def test_another_nodes_unfinished_machine_is_not_touched(scene: Scene) -> None:
    lineage = scene.seeder().seed(scene.request()).lineage
    half = lineage.model_copy(update={"state": "building", "hardware": None})
    scene.machine(9200).config["description"] = description_of(half)

    assert scene.seeder(node="pve2").seed(at_the_second(scene)).outcome == "created"
    assert scene.seeder().audit(9200).lineage == half


def test_a_template_on_shared_storage_serves_every_node(scene: Scene) -> None:
    scene.seeder(storage="ceph").seed(scene.request())
    before = scene.mutations()

    second = scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))

    assert (second.outcome, second.vmid, second.node) == ("adopted", 9200, "pve1")
    assert scene.mutations() == before


def test_a_template_on_another_nodes_own_storage_serves_no_other_node(scene: Scene) -> None:
    scene.seeder().seed(scene.request())

    assert scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene)).outcome == "created"


@pytest.mark.parametrize("said", ["a template", "a machine", "nothing"])
def test_a_node_that_is_down_may_hold_the_template_so_none_is_made(scene: Scene, said: str) -> None:
    scene.seeder(storage="ceph").seed(scene.request())
    config = scene.machine(9200).config
    if said == "a machine":
        # As when it went down within ten seconds of the conversion.
        del config["template"]
    scene.stand_in.statistics.broadcast()
    config["template"] = 1
    scene.stand_in.inventory.down.add("pve1")
    if said == "nothing":
        # As when it has been away for minutes.
        scene.stand_in.statistics.away.add("pve1")
    before = scene.mutations()

    with pytest.raises(NodeUnreachable, match="node pve1 is down, and its VMID 9200 may be") as refusal:
        scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))
    assert "start pve1" in refusal.value.hint
    assert scene.mutations() == before


@pytest.mark.seconds
def test_a_node_that_was_removed_from_the_cluster_may_hold_the_template_too(scene: Scene) -> None:
    """`pvecm delnode` leaves the configurations of its machines: the cluster goes on listing them."""
    scene.seeder(storage="ceph").seed(scene.request())
    scene.stand_in.inventory.removed.add("pve1")
    second = scene.client(storage="ceph", node="pve2")

    with pytest.raises(NodeUnreachable, match="pve1 is no longer a node of the cluster, and its VMID 9200 may be"):
        scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))
    with pytest.raises(NodeUnreachable, match="hostname lookup 'pve1' failed"):
        second.get_config(9200, node="pve1")


def test_a_node_that_is_written_off_is_not_waited_for_and_the_report_says_so(scene: Scene) -> None:
    scene.seeder(storage="ceph").seed(scene.request())
    scene.stand_in.inventory.down.add("pve1")
    site = scene.client(storage="ceph", node="pve2").site.model_copy(update={"written_off_nodes": ["pve1"]})

    seeded = ProxmoxSeeder(scene.client().at(site), site).seed(at_the_second(scene))

    assert (seeded.outcome, seeded.vmid, seeded.node) == ("created", 9201, "pve2")
    assert any(
        "node pve1 does not answer and is written off" in warning and "storage ceph" in warning
        for warning in seeded.warnings
    )


def test_a_node_that_is_written_off_and_answers_is_read_like_any_other(scene: Scene) -> None:
    scene.seeder(storage="ceph").seed(scene.request())
    site = scene.client(storage="ceph", node="pve2").site.model_copy(update={"written_off_nodes": ["pve1"]})

    seeded = ProxmoxSeeder(scene.client().at(site), site).seed(at_the_second(scene))

    assert (seeded.outcome, seeded.vmid, seeded.warnings) == ("adopted", 9200, ())


@pytest.mark.parametrize("away", ["down", "removed"])
def test_a_template_that_was_moved_off_a_dead_node_is_adopted(scene: Scene, away: str) -> None:
    scene.seeder(storage="ceph").seed(scene.request())
    getattr(scene.stand_in.inventory, away).add("pve1")
    # As root on pve2: mv /etc/pve/nodes/pve1/qemu-server/9200.conf /etc/pve/nodes/pve2/qemu-server/
    scene.machine(9200).node = "pve2"

    seeded = scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))

    assert (seeded.outcome, seeded.vmid, seeded.node) == ("adopted", 9200, "pve2")


def test_a_template_elsewhere_without_tags_outside_the_range_is_found_and_not_made_twice(scene: Scene) -> None:
    scene.stand_in.tag_rules.user_allow = "none"
    scene.seeder(storage="ceph").seed(scene.request(), TemplateOptions(template_vm_id=9150))

    second = scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))

    assert (second.outcome, second.vmid, second.node) == ("adopted", 9150, "pve1")


def test_an_untagged_template_on_a_node_that_is_away_is_waited_for(scene: Scene) -> None:
    scene.stand_in.tag_rules.user_allow = "none"
    scene.seeder(storage="ceph").seed(scene.request(), TemplateOptions(template_vm_id=9150))
    scene.stand_in.inventory.down.add("pve1")
    scene.stand_in.statistics.away.add("pve1")

    with pytest.raises(NodeUnreachable, match="its VMID 9150 may be"):
        scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene))


def test_what_is_known_to_be_no_template_of_the_record_is_not_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = scene.stand_in.inventory.machines
    machines[100] = Machine(100, {"name": "mail"}, "pve1")
    monkeypatch.setattr(scene.stand_in.guests, "running", lambda vmid: vmid == 100)
    scene.stand_in.statistics.broadcast()
    scene.stand_in.inventory.down.add("pve1")
    machines[101] = Machine(101, {"name": "other", "template": 1, "tags": "vyos;vyos-0123456789ab"}, "pve1")

    assert scene.seeder(storage="ceph", node="pve2").seed(at_the_second(scene)).outcome == "created"


def test_a_sites_own_node_that_is_down_is_reported(scene: Scene) -> None:
    scene.stand_in.inventory.down.add("pve2")

    with pytest.raises(SiteNotReady, match="'pve2' is not online"):
        scene.seeder(node="pve2").seed(at_the_second(scene))


def test_what_a_live_run_makes_on_shared_storage_is_not_made_twice(scene: Scene) -> None:
    lineage = scene.seeder(storage="ceph").seed(scene.request()).lineage
    half = lineage.model_copy(update={"state": "building", "hardware": None})
    scene.machine(9200).config["description"] = description_of(half)
    client = scene.client(storage="ceph", node="pve2")
    second = ProxmoxSeeder(client, client.site, is_live=lambda run_id: run_id == "run-1")

    with pytest.raises(SeedBusy, match="run run-1"):
        second.seed(at_the_second(scene))


def test_a_machine_is_read_where_it_stands(scene: Scene) -> None:
    scene.seeder(node="pve2").seed(at_the_second(scene))

    assert scene.seeder().audit(9200).node == "pve2"
    with pytest.raises(NoSuchObject):
        scene.client().get_config(9200)


def test_rights_on_a_pool_are_enough_and_templates_are_put_into_it(scene: Scene) -> None:
    access = scene.stand_in.access
    access.pools["vyos"] = set()
    machine = {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
    access.privileges = {"/": ALL_PRIVILEGES - machine, "/pool/vyos": frozenset(machine)}

    with pytest.raises(SiteNotReady, match=r"VM\.Audit on /vms/9200"):
        scene.seeder().seed(scene.request())
    seeded = scene.seeder(pool="vyos").seed(scene.request())

    assert access.pools["vyos"] == {seeded.vmid}
    before = scene.mutations()
    assert scene.seeder(pool="vyos").seed(scene.request()).outcome == "adopted"
    assert scene.mutations() == before


def test_a_right_that_the_pool_lacks_is_named_with_the_pool(scene: Scene) -> None:
    access = scene.stand_in.access
    access.pools["vyos"] = set()
    machine = {name for name in ALL_PRIVILEGES if name.startswith("VM.")}
    access.privileges = {"/": ALL_PRIVILEGES - machine, "/pool/vyos": frozenset(machine - {"VM.Config.Disk"})}

    with pytest.raises(SiteNotReady, match=r"lacks VM.Config.Disk on /pool/vyos\n"):
        scene.seeder(pool="vyos").seed(scene.request())
