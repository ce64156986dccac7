"""Where genuine Proxmox VE is stricter, or odder, than its documentation: the lab's node is so too, a row each.

What was seen of genuine daemons stands in docs/proxmox.md; the file and function of each rule stand in the
stand-in's own modules.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from proxmoxer.core import ResourceException

from hyops_assets.image.digests import sha256_of_file
from hyops_lab.faults import Answer, Page, Rule
from hyops_lab.proxmox.access import ALL_PRIVILEGES
from hyops_lab.proxmox.inventory import Machine
from tests.proxmox_scene import TOKEN, TOKEN_ID, Scene, by_proxmoxer, end_of, proxmox_scene

OWNER = {"VM.Allocate", "VM.Audit", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network"} | {
    "VM.Config.HWType",
    "VM.Config.Options",
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene


def ask(scene: Scene, method: str, path: str, *, token: str = TOKEN, **options: Any) -> requests.Response:
    """Ask without a library between: what is on the wire is what is looked at."""
    return requests.request(
        method,
        f"https://127.0.0.1:{scene.stand_in.port}/api2/json{path}",
        headers={"Authorization": f"PVEAPIToken={TOKEN_ID}={token}"},
        verify=str(scene.authority.certificate_file),
        timeout=20,
        **options,
    )


def test_a_refused_token_is_answered_in_the_reason_phrase_alone(scene: Scene) -> None:
    answer = ask(scene, "GET", "/version", token="wrong")

    assert (answer.status_code, answer.reason, answer.content) == (401, "Authentication failed!", b"")


def test_an_expired_token_and_one_of_a_disabled_user_are_refused_in_the_same_words(scene: Scene) -> None:
    scene.stand_in.access.usable = False

    answer = ask(scene, "GET", "/version")
    assert (answer.status_code, answer.reason, answer.content) == (401, "Authentication failed!", b"")


@pytest.mark.parametrize(("status", "reason"), [(595, "Connection refused"), (596, "Connection timed out")])
def test_a_daemon_that_was_not_reached_answers_without_a_body(scene: Scene, status: int, reason: str) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Answer(status, "", reason)))

    answer = ask(scene, "GET", "/version")
    assert (answer.status_code, answer.reason, answer.content) == (status, reason, b"")


def test_a_handlers_refusal_is_json_and_closes_the_connection(scene: Scene) -> None:
    answer = ask(scene, "GET", "/cluster/nextid", params={"vmid": "x"})

    assert (answer.status_code, answer.reason) == (400, "Parameter verification failed.")
    assert answer.json() == {
        "data": None,
        "errors": {"vmid": "type check ('integer') failed - got 'x'"},
        "message": "Parameter verification failed.\n",
    }
    assert answer.headers["Connection"] == "close"


def test_a_proxys_page_is_no_answer_of_the_api(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/version", Page(502)))

    answer = ask(scene, "GET", "/version")
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (502, "text/html")


ORDERED = {"content": "import", "checksum-algorithm": "sha256", "checksum": ""}


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (("content", "checksum-algorithm", "checksum"), 200),
        (("content", "checksum", "checksum-algorithm"), 400),
        (("checksum-algorithm", "checksum", "content"), 400),
    ],
)
def test_the_fields_of_an_upload_are_taken_in_one_order_only(
    scene: Scene, order: tuple[str, ...], status: int
) -> None:
    form = {**ORDERED, "checksum": sha256_of_file(scene.qcow2)}
    with scene.qcow2.open("rb") as image:
        answer = ask(
            scene,
            "POST",
            "/nodes/pve1/storage/local/upload",
            data={name: form[name] for name in order},
            files={"filename": ("vyos.qcow2", image)},
        )

    assert answer.status_code == status
    assert status == 200 or (answer.reason, answer.content) == ("Bad Request", b"")


def test_who_may_not_upload_is_refused_before_anything_is_read(scene: Scene) -> None:
    scene.stand_in.access.privileges["/storage/local"] = ALL_PRIVILEGES - {"Datastore.AllocateTemplate"}

    answer = ask(
        scene, "POST", "/nodes/pve1/storage/local/upload", data=ORDERED, files={"filename": ("a.qcow2", b"QFI")}
    )
    assert (answer.status_code, answer.content) == (403, b"")
    assert answer.reason == "Permission check failed (/storage/local, Datastore.AllocateTemplate)"


def test_the_right_to_set_tags_is_checked_on_the_machine_which_is_not_in_its_pool_yet(scene: Scene) -> None:
    access = scene.stand_in.access
    access.pools["vyos"] = set()
    access.privileges = {"/": ALL_PRIVILEGES - OWNER, "/pool/vyos": frozenset(OWNER)}
    node = by_proxmoxer(scene).nodes("pve1")

    refused = end_of(scene, node.qemu.post(vmid=9202, name="a", pool="vyos", tags="vyos"))
    assert refused == "unable to create VM 9202 - 403 Permission check failed (/vms/9202, VM.Config.Options)"
    assert scene.stand_in.inventory.machines == {}

    assert end_of(scene, node.qemu.post(vmid=9202, name="a", pool="vyos")) == "OK"
    node.qemu(9202).config.put(tags="vyos")
    assert node.qemu(9202).config.get()["tags"] == "vyos"


@pytest.mark.parametrize("allowed", ["none", "list", "existing"])
def test_reserved_tags_are_refused_by_name(scene: Scene, allowed: Any) -> None:
    scene.stand_in.tag_rules.user_allow = allowed
    node = by_proxmoxer(scene).nodes("pve1")

    assert "403 Permission check failed (/, Sys.Modify for modifying tag 'vyos')" in end_of(
        scene, node.qemu.post(vmid=9202, tags="vyos")
    )
    assert end_of(scene, node.qemu.post(vmid=9202)) == "OK"
    with pytest.raises(ResourceException, match=r"403 .*modifying tag 'vyos'"):
        node.qemu(9202).config.put(tags="vyos")


def test_a_registered_tag_is_refused_though_all_others_are_free(scene: Scene) -> None:
    scene.stand_in.tag_rules.registered = {"vyos"}
    node = by_proxmoxer(scene).nodes("pve1")

    assert "modifying tag 'vyos'" in end_of(scene, node.qemu.post(vmid=9202, tags="vyos"))
    assert end_of(scene, node.qemu.post(vmid=9202, tags="mine")) == "OK"


@pytest.mark.parametrize(
    ("path", "privilege"), [("/storage/local-lvm", "Datastore.Audit"), ("/vms/9200", "VM.Config.Disk")]
)
def test_a_volume_without_rights_on_storage_or_owner_is_silently_left_out(
    scene: Scene, path: str, privilege: str
) -> None:
    scene.seeder().seed(scene.request())
    content = by_proxmoxer(scene).nodes("pve1").storage("local-lvm").content
    assert "local-lvm:base-9200-disk-0" in [entry["volid"] for entry in content.get(content="images")]
    scene.stand_in.access.privileges[path] = ALL_PRIVILEGES - {privilege}

    assert content.get(content="images") == []
    with pytest.raises(ResourceException, match="403"):
        content("local-lvm:base-9200-disk-0").get()


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("local-lvm", 'Logical Volume "vm-9200-cloudinit" already exists in volume group "pve"'),
        ("ceph", "rbd create 'vm-9200-cloudinit' error: rbd: create error: (17) File exists"),
    ],
)
def test_a_cloud_init_volume_that_was_left_is_in_the_way(scene: Scene, storage: str, words: str) -> None:
    scene.stand_in.volume_path(f"{storage}:vm-9200-cloudinit").write_bytes(bytes(4 << 20))
    node = by_proxmoxer(scene).nodes("pve1")

    assert words in end_of(scene, node.qemu.post(vmid=9200, ide2=f"{storage}:cloudinit"))
    assert scene.stand_in.inventory.machines == {}
    assert scene.stand_in.volume_path(f"{storage}:vm-9200-cloudinit").exists()


def test_the_clusters_list_has_names_and_flags_late_and_the_nodes_own_at_once(scene: Scene) -> None:
    cluster, node = by_proxmoxer(scene).cluster.resources, by_proxmoxer(scene).nodes("pve1").qemu
    scene.stand_in.statistics.interval_seconds = 3600.0
    scene.stand_in.statistics.broadcast()
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": "new", "tags": "vyos", "template": 1})

    (entry,) = cluster.get(type="vm")
    assert (entry["status"], entry["tags"], "name" in entry, "template" in entry) == ("unknown", "vyos", False, False)
    (known,) = node.get()
    assert (known["name"], known["template"]) == ("new", 1)

    scene.stand_in.statistics.broadcast()
    (entry,) = cluster.get(type="vm")
    assert (entry["name"], entry["template"], entry["status"]) == ("new", 1, "stopped")


def test_a_pvestatd_that_hangs_leaves_nodes_and_machines_unknown(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": "old", "template": 1})
    scene.stand_in.statistics.broadcast()
    scene.stand_in.statistics.hanging = True

    (entry,) = by_proxmoxer(scene).cluster.resources.get(type="vm")
    assert (entry["status"], "name" in entry, "template" in entry) == ("unknown", False, False)
    assert [node["status"] for node in by_proxmoxer(scene).nodes.get()] == ["unknown"]


def test_a_machine_is_made_without_the_rights_that_are_never_checked(scene: Scene) -> None:
    scene.stand_in.access.privileges["/vms"] = ALL_PRIVILEGES - {"VM.Config.CDROM", "VM.Config.Cloudinit"}

    made = (
        by_proxmoxer(scene)
        .nodes("pve1")
        .qemu.post(vmid=9200, ide2="local-lvm:cloudinit", ciuser="vyos", net0="virtio")
    )
    assert end_of(scene, made) == "OK"


@pytest.mark.parametrize(
    ("option", "privilege"),
    [
        ({"name": "a"}, "VM.Config.Options"),
        ({"cores": 2}, "VM.Config.CPU"),
        ({"memory": "512"}, "VM.Config.Memory"),
        ({"smbios1": "family=x"}, "VM.Config.HWType"),
        ({"serial0": "socket"}, "VM.Config.HWType"),
        ({"boot": "order=scsi0"}, "VM.Config.Disk"),
        ({"net0": "virtio"}, "VM.Config.Network"),
    ],
)
def test_each_option_asks_for_its_own_right(scene: Scene, option: dict[str, Any], privilege: str) -> None:
    scene.stand_in.access.privileges["/vms"] = ALL_PRIVILEGES - {privilege}

    with pytest.raises(ResourceException, match=rf"403 .*\(/vms/9200, {privilege}\)"):
        by_proxmoxer(scene).nodes("pve1").qemu.post(vmid=9200, **option)


def test_a_configuration_that_changed_in_between_is_refused_in_these_words(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"name": "a"})

    with pytest.raises(ResourceException, match=r"500 .*checksum mismatch \(file change by other user\?\)"):
        by_proxmoxer(scene).nodes("pve1").qemu(9200).config.put(name="b", digest="0" * 40)


def test_a_storage_without_rights_is_forbidden_whether_or_not_it_exists(scene: Scene) -> None:
    storage = by_proxmoxer(scene).nodes("pve1").storage
    with pytest.raises(ResourceException) as unknown:
        storage("zfs").status.get()
    assert (unknown.value.status_code, unknown.value.errors) == (400, {"storage": "No such storage."})

    for name in ("zfs", "local-lvm"):
        scene.stand_in.access.privileges[f"/storage/{name}"] = frozenset()
        for call in (storage(name).status, storage(name).content):
            with pytest.raises(ResourceException, match=rf"403 .*\(/storage/{name}, Datastore.Audit\|Datastore.Alloc"):
                call.get()


def test_a_disabled_storage_reports_its_state_and_nothing_else(scene: Scene) -> None:
    scene.stand_in.storages.configure("local-lvm", enabled=False)
    storage = by_proxmoxer(scene).nodes("pve1").storage("local-lvm")

    state = storage.status.get()
    assert (state["enabled"], state["active"], state["avail"]) == (0, 0, 0)
    with pytest.raises(ResourceException, match="storage 'local-lvm' is disabled"):
        storage.content.get()


def test_starting_a_template_is_a_worker_that_fails(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9200] = Machine(9200, {"template": 1})

    upid = by_proxmoxer(scene).nodes("pve1").qemu(9200).status.start.post()
    assert end_of(scene, upid) == "you can't start a vm if it's a template"


def test_a_description_comes_back_without_white_space_at_its_end(scene: Scene) -> None:
    node = by_proxmoxer(scene).nodes("pve1")
    end_of(scene, node.qemu.post(vmid=9200, description="one\ntwo\n\n"))

    assert node.qemu(9200).config.get()["description"] == "one\ntwo"


def test_a_clone_on_lvm_thin_has_no_parent_and_outlives_its_template(scene: Scene) -> None:
    vmid = scene.seeder().seed(scene.request()).vmid
    node = by_proxmoxer(scene).nodes("pve1")
    assert end_of(scene, node.qemu(vmid).clone.post(newid=9280, name="edge", full=0)) == "OK"

    listed = {entry["volid"]: entry for entry in node.storage("local-lvm").content.get(content="images")}
    assert "parent" not in listed["local-lvm:vm-9280-disk-0"]
    assert end_of(scene, node.qemu(vmid).delete(purge=1)) == "OK"
    assert sha256_of_file(scene.stand_in.volume_path("local-lvm:vm-9280-disk-0")) == scene.record.disk.sha256


def test_a_bridge_is_listed_for_users_who_may_use_it(scene: Scene) -> None:
    network = by_proxmoxer(scene).nodes("pve1").network
    assert [entry["iface"] for entry in network.get(type="any_bridge")] == ["vmbr0"]
    scene.stand_in.access.privileges["/sdn/zones/localnetwork/vmbr0"] = frozenset()

    assert network.get(type="any_bridge") == []


def test_a_pool_that_does_not_exist_is_forbidden(scene: Scene) -> None:
    with pytest.raises(ResourceException, match=r"403 .*\(pool 'vyos' does not exist\)"):
        by_proxmoxer(scene).nodes("pve1").qemu.post(vmid=9200, pool="vyos")


def test_a_worker_of_another_user_is_not_listed_without_the_right_to_audit(scene: Scene) -> None:
    scene.seeder().seed(scene.request())
    for task in scene.stand_in.inventory.tasks.values():
        task.user = "root@pam"
    tasks = by_proxmoxer(scene).nodes("pve1").tasks
    assert {entry["user"] for entry in tasks.get(source="all")} == {"root@pam"}
    scene.stand_in.access.privileges["/nodes"] = ALL_PRIVILEGES - {"Sys.Audit"}

    assert tasks.get(source="all") == []


def test_a_network_card_has_an_address_of_its_own_and_a_clone_another(scene: Scene) -> None:
    node = by_proxmoxer(scene).nodes("pve1")
    end_of(scene, node.qemu.post(vmid=9200, net0="virtio,bridge=vmbr0"))
    end_of(scene, node.qemu(9200).clone.post(newid=9201))

    cards = [node.qemu(vmid).config.get()["net0"] for vmid in (9200, 9201)]
    assert all(card.startswith("virtio=BC:24:11:") and card.endswith(",bridge=vmbr0") for card in cards)
    assert cards[0] != cards[1]


def test_that_a_machine_is_missing_is_said_in_three_ways(scene: Scene) -> None:
    missing = by_proxmoxer(scene).nodes("pve1").qemu(9299)

    with pytest.raises(ResourceException, match=r"Configuration file 'nodes/pve1/qemu-server/9299\.conf' does not"):
        missing.delete()
    with pytest.raises(ResourceException, match="unable to find configuration file for VM 9299 on node 'pve1'"):
        missing.clone.post(newid=9300)
    assert end_of(scene, missing.status.stop.post()) == "unable to find configuration file for VM 9299 on node 'pve1'"
    assert "does not exist" in end_of(scene, missing.status.start.post())
