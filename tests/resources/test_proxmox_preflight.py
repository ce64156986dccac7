"""What a site lacks is said by name, with the command that mends it, before anything is changed."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from hyops_lab.proxmox.access import ALL_PRIVILEGES
from resources.sites.proxmox.errors import SiteNotReady
from resources.sites.proxmox.place import Node
from tests.proxmox_scene import Scene, proxmox_scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path) as scene:
        yield scene
        assert scene.mutations() == 0


def refused(scene: Scene, **options: object) -> SiteNotReady:
    with pytest.raises(SiteNotReady) as refusal:
        scene.seeder(**options).seed(scene.request())
    return refusal.value


def test_proxmox_8_3_is_refused(scene: Scene) -> None:
    scene.stand_in.api.version = "8.3.5"

    assert "8.3.5" in refused(scene).message
    assert "8.4" in str(refused(scene))


@pytest.mark.parametrize(
    ("privilege", "where"),
    [
        ("Datastore.AllocateTemplate", "/storage/local"),
        ("Datastore.AllocateSpace", "/storage/local-lvm"),
        ("VM.Allocate", "/vms/9200"),
        ("VM.Config.Options", "/vms/9200"),
        ("Datastore.Audit", "/storage/local-lvm"),
        ("VM.Audit", "/vms/9200"),
        ("Sys.AccessNetwork", "/nodes/pve1"),
        ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"),
    ],
)
def test_a_missing_privilege_is_named_with_its_path(scene: Scene, privilege: str, where: str) -> None:
    scene.stand_in.access.privileges[where] = ALL_PRIVILEGES - {privilege}

    assert f"{privilege} on {where}" in refused(scene).message


@pytest.mark.parametrize("uploads", [True, False])
def test_a_site_to_which_this_host_uploads_needs_no_right_to_download(scene: Scene, uploads: bool) -> None:
    scene.stand_in.access.privileges["/nodes/pve1"] = ALL_PRIVILEGES - {"Sys.AccessNetwork"}
    seeder = scene.seeder()
    node = Node(seeder, "lab", environment=None, is_live=lambda run: None, uploads=uploads)

    with nullcontext() if uploads else pytest.raises(SiteNotReady, match=r"Sys\.AccessNetwork"):
        assert "the token may seed" in node.preflight()


def test_all_missing_privileges_are_named_at_once(scene: Scene) -> None:
    scene.stand_in.access.privileges["/"] = ALL_PRIVILEGES - {"VM.Allocate", "VM.Config.CPU"}

    message = refused(scene).message
    assert "VM.Allocate" in message
    assert "VM.Config.CPU" in message


def test_the_smoke_gate_needs_the_right_to_clone_and_start(scene: Scene) -> None:
    scene.stand_in.access.privileges["/vms"] = ALL_PRIVILEGES - {"VM.Clone", "VM.PowerMgmt"}

    assert "VM.Clone on /vms/9200; VM.PowerMgmt on /vms/9200" in refused(scene, template_smoke_gate=True).message


def test_a_storage_without_import_content_is_refused_with_the_command_that_adds_it(scene: Scene) -> None:
    scene.stand_in.storages.configure("local", {"iso", "vztmpl"})

    refusal = refused(scene)
    assert "not configured for content 'import'" in refusal.message
    assert "pvesm set local --content iso,vztmpl,import" in refusal.hint


def test_an_unknown_storage_is_refused(scene: Scene) -> None:
    assert "'zfs'" in refused(scene, storage="zfs").message


def test_a_storage_without_room_is_refused(scene: Scene) -> None:
    disk = scene.record.disk.model_copy(update={"size_bytes": 2 << 40})
    huge = scene.record.model_copy(update={"disk": disk})

    with pytest.raises(SiteNotReady, match="bytes free"):
        scene.seeder().seed(scene.request(huge))


def test_an_unknown_bridge_is_refused_and_those_that_exist_are_named(scene: Scene) -> None:
    assert "(it has: vmbr0)" in refused(scene, bridge="vmbr9").message


def test_a_node_that_is_not_in_the_cluster_is_refused(scene: Scene) -> None:
    assert "'pve7' is not online (online: pve1)" in refused(scene, node="pve7").message
