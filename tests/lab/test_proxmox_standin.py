"""The lab's Proxmox node, through the real proxmoxer over TLS: it does what Proxmox does, and refuses what it does."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxmoxer.core import ResourceException

from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_lab.proxmox.inventory import Inventory
from hyops_lab.running import running
from tests.proxmox_scene import Scene, by_proxmoxer, end_of, make_stand_in, proxmox_scene
from tests.specs import require_specification
from tests.specs_proxmox import PROXMOX


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with proxmox_scene(tmp_path_factory.mktemp("pve")) as scene:
        yield scene


@pytest.fixture
def node(scene: Scene) -> Any:
    return by_proxmoxer(scene).nodes("pve1")


@pytest.fixture(scope="module")
def template(scene: Scene) -> int:
    return scene.seeder().seed(scene.request()).vmid


def test_a_request_without_a_token_is_refused(scene: Scene) -> None:
    with pytest.raises(ResourceException, match="401 Unauthorized: Authentication failed!"):
        by_proxmoxer(scene, token="wrong").version.get()


def test_a_boolean_that_is_not_0_or_1_is_refused(node: Any) -> None:
    with pytest.raises(ResourceException) as refusal:
        node.qemu.post(vmid=9290, onboot=True)
    assert refusal.value.status_code == 400
    assert refusal.value.errors == {"onboot": "type check ('boolean') failed - got 'True'"}


def test_an_unknown_parameter_is_refused(node: Any) -> None:
    with pytest.raises(ResourceException, match="does not allow additional properties"):
        node.qemu.post(vmid=9290, colour="green")


def test_an_unknown_call_is_not_implemented(node: Any) -> None:
    with pytest.raises(ResourceException, match="501"):
        node.ceph.status.get()


def test_a_path_on_the_node_is_not_importable_with_a_token(scene: Scene, node: Any) -> None:
    with pytest.raises(ResourceException, match="Only root can pass arbitrary filesystem paths"):
        node.qemu.post(vmid=9290, scsi0="local-lvm:0,import-from=/etc/passwd")
    assert 9290 not in scene.stand_in.inventory.machines


def test_a_download_without_a_checksum_does_not_accept_a_file_that_is_there(scene: Scene, node: Any) -> None:
    request = {"content": "import", "filename": "kept.qcow2", "url": scene.url}
    checked = {**request, "checksum": sha256_of_file(scene.qcow2), "checksum-algorithm": "sha256"}
    post = node.storage("local")("download-url").post

    assert end_of(scene, post(**checked)) == "OK"
    assert end_of(scene, post(**checked)) == "OK"
    assert "got correct file already" in _last_log(scene)
    assert "refusing to override" in end_of(scene, post(**request))
    assert "aborting" in end_of(scene, post(**{**checked, "checksum": "0" * 64}))


def test_a_server_that_is_not_trusted_is_not_downloaded_from(scene: Scene, node: Any) -> None:
    with proxmox_scene(scene.directory / "other") as other:
        upid = node.storage("local")("download-url").post(content="import", filename="x.qcow2", url=other.url)
        assert "download failed" in end_of(scene, upid)


@pytest.mark.parametrize("options", [["-F", "raw", "-b", "{other}"], ["-o", "data_file={other},data_file_raw=on"]])
def test_an_image_that_reads_another_file_is_refused(
    scene: Scene, node: Any, tmp_path: Path, options: list[str]
) -> None:
    image, other = tmp_path / "evil.qcow2", tmp_path / "other.raw"
    other.write_bytes(bytes(1 << 20))
    filled = [option.format(other=other) for option in options]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *filled, image, "1M"])
    with image.open("rb") as file:
        upid = node.storage("local").upload.post(content="import", filename=file)

    assert "refers to another file" in end_of(scene, upid)
    assert not scene.stand_in.volume_path("local:import/evil.qcow2").exists()


def test_an_upload_is_streamed_whole_and_checked(scene: Scene, node: Any, tmp_path: Path) -> None:
    big = tmp_path / "big.raw"
    with big.open("wb") as file:
        for number in range(24):
            file.write(hashlib.sha512(bytes([number])).digest() * (1 << 14))
    post = node.storage("local").upload.post
    checked = {"content": "import", "checksum-algorithm": "sha256"}

    with big.open("rb") as file:
        assert end_of(scene, post(**checked, checksum=sha256_of_file(big), filename=file)) == "OK"
    assert sha256_of_file(scene.stand_in.volume_path("local:import/big.raw")) == sha256_of_file(big)
    with big.open("rb") as file:
        assert "checksum mismatch" in end_of(scene, post(**checked, checksum="0" * 64, filename=file))
    assert list((scene.directory / "pve" / "spool").iterdir()) == []


def test_a_template_is_not_converted_again_unless_a_disk_is_named(scene: Scene, node: Any, template: int) -> None:
    with pytest.raises(ResourceException, match="can't convert a template to a template"):
        node.qemu(template).template.post()
    assert end_of(scene, node.qemu(template).template.post(disk="scsi0")) == "OK"


def test_a_linked_clone_reads_the_template_and_holds_it(scene: Scene, node: Any) -> None:
    other = scene.other()
    shared = scene.seeder(storage="ceph", vmid_range=(9270, 9279)).seed(other).vmid
    assert end_of(scene, node.qemu(shared).clone.post(newid=9280, name="edge", full=0)) == "OK"

    listed = {entry["volid"]: entry for entry in node.storage("ceph").content.get(content="images")}
    clone = listed[f"ceph:base-{shared}-disk-0/vm-9280-disk-0"]
    assert clone["parent"] == f"base-{shared}-disk-0@__base__"
    assert clone["size"] == other.record.disk.size_bytes
    assert "still in use by linked clone" in end_of(scene, node.qemu(shared).delete(purge=1))
    assert end_of(scene, node.qemu(9280).delete(purge=1)) == "OK"


def test_a_clone_carries_everything_but_flag_and_addresses(scene: Scene, node: Any, template: int) -> None:
    assert end_of(scene, node.qemu(template).clone.post(newid=9281, full=1)) == "OK"

    was, now = node.qemu(template).config.get(), node.qemu(9281).config.get()
    assert now["description"] == was["description"]
    assert now["tags"] == was["tags"]
    assert "template" not in now
    assert now["smbios1"] != was["smbios1"]
    disk = scene.stand_in.volume_path("local-lvm:vm-9281-disk-0")
    assert sha256_of_file(disk) == scene.record.disk.sha256


def test_a_protected_machine_is_not_removed(scene: Scene, node: Any) -> None:
    assert end_of(scene, node.qemu.post(vmid=9282, name="held", protection=1)) == "OK"

    with pytest.raises(ResourceException, match="protection mode enabled"):
        node.qemu(9282).delete()


def test_a_disk_grows_and_never_shrinks(scene: Scene, node: Any) -> None:
    end_of(scene, node.storage("local")("download-url").post(content="import", filename="grow.qcow2", url=scene.url))
    assert end_of(scene, node.qemu.post(vmid=9283, scsi0="local-lvm:0,import-from=local:import/grow.qcow2")) == "OK"

    assert end_of(scene, node.qemu(9283).resize.put(disk="scsi0", size="+64M")) == "OK"
    assert node.qemu(9283).config.get()["scsi0"].endswith("size=128M")
    with pytest.raises(ResourceException, match="shrinking disks is not supported"):
        node.qemu(9283).resize.put(disk="scsi0", size="64M")


def test_a_locked_machine_is_left_alone(scene: Scene, node: Any) -> None:
    scene.stand_in.workers.delay_seconds = 0.3
    upid = node.qemu.post(vmid=9284, name="slow")
    scene.stand_in.workers.delay_seconds = 0.0

    assert node.qemu(9284).config.get().keys() == {"lock", "digest"}
    with pytest.raises(ResourceException, match=r"locked \(create\)"):
        node.qemu(9284).config.put(name="other")
    assert end_of(scene, upid) == "OK"


def test_a_machine_that_boots_no_guest_is_not_reported_as_running(scene: Scene, node: Any) -> None:
    assert end_of(scene, node.qemu.post(vmid=9285, name="guest", agent="enabled=1")) == "OK"

    assert "boots no guests" in end_of(scene, node.qemu(9285).status.start.post())
    with pytest.raises(ResourceException, match="is not running"):
        node.qemu(9285).agent.ping.post()
    assert node.qemu(9285).status.current.get()["status"] == "stopped"


def test_a_later_node_on_the_same_directory_continues(scene: Scene, template: int) -> None:
    later = make_stand_in(scene.directory, scene.authority, scene.trace)

    assert later.inventory.machines[template].is_template
    assert later.inventory.tasks.keys() == scene.stand_in.inventory.tasks.keys()


@pytest.mark.seconds
def test_a_killed_node_leaves_a_locked_machine_and_a_task_of_unexpected_status(scene: Scene, node: Any) -> None:
    scene.stand_in.workers.delay_seconds = 1.0
    upid = node.qemu.post(vmid=9286, name="half")
    scene.stand_in.workers.delay_seconds = 0.0
    # What lies on the disk at this moment is what a SIGKILL would leave.
    at_that_moment = scene.directory / "killed"
    shutil.copytree(scene.directory / "pve", at_that_moment / "pve")

    left = Inventory(at_that_moment / "pve", "pve1")

    assert left.machines[9286].config == {"lock": "create"}
    assert left.tasks[upid].exitstatus == "unexpected status"


def test_a_stopped_node_cleans_up_after_the_workers_that_it_interrupts(tmp_path: Path) -> None:
    with proxmox_scene(tmp_path) as scene:
        second = make_stand_in(tmp_path / "second", scene.authority, scene.trace)
        second.workers.delay_seconds = 30.0
        with running(second):
            by_proxmoxer(scene, port=second.port).nodes("pve1").qemu.post(vmid=100, name="never")
        assert second.inventory.machines == {}
        assert [task.exitstatus for task in second.inventory.tasks.values()] == ["interrupted by signal"]


def test_a_taken_port_is_an_error(scene: Scene, tmp_path: Path) -> None:
    second = make_stand_in(tmp_path, scene.authority, scene.trace, port=scene.stand_in.port)

    with pytest.raises(OSError, match="address already in use"), running(second):
        pass


def test_every_call_of_the_stand_in_is_in_the_vendors_schema(scene: Scene) -> None:
    require_specification(PROXMOX)
    known = {(method, path) for _, path, calls in scene.specs.paths for method in calls}
    routes = {
        (method, path.replace(":[0-9]+", "").replace(":.+", "")) for method, path, *_ in scene.stand_in.api.routes()
    }

    # The reduced schema leaves the guest agent out, and what inventories ask for besides.
    assert {path for _, path in routes - known if "/agent/" not in path} == {
        "/storage",
        "/access/users",
        "/nodes/{node}/lxc",
    }


def _last_log(scene: Scene) -> str:
    return "\n".join(list(scene.stand_in.inventory.tasks.values())[-1].log)
