"""Real clients of Proxmox VE at the lab's node: proxmoxer's inventory calls, and community.proxmox where it is there.

The collection comes with the package `ansible`, too large for every environment:
`python3 -m venv X && X/bin/pip install ansible proxmoxer requests`, then `HYOPS_CLIENTS=X` here.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxmox_scene import TOKEN, Scene, by_proxmoxer, proxmox_scene

PLAY = Path(__file__).parent / "community_proxmox.yml"
_COLLECTION = "lib/python3*/site-packages/ansible_collections/community/proxmox"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with proxmox_scene(tmp_path, boot_guests=True) as scene:
        scene.seeder().seed(scene.request())
        scene.stand_in.statistics.interval_seconds = 0.0
        yield scene


@pytest.fixture
def clients() -> Path:
    """An environment with Ansible and the collection."""
    named = os.environ.get("HYOPS_CLIENTS")
    if not named or not list(Path(named).glob(_COLLECTION)):
        pytest.skip(
            "HYOPS_CLIENTS names no environment with community.proxmox: pip install ansible proxmoxer requests"
        )
    return Path(named)


def test_an_inventory_by_proxmoxer_is_answered(scene: Scene) -> None:
    api = by_proxmoxer(scene)
    node = api.nodes("pve1")
    machine = node.qemu(9200)

    assert [entry["name"] for entry in node.qemu.get(full=1)] == ["vyos-1-5-2026-03-03-0027-rolling-r2"]
    assert node.lxc.get() == []
    assert node.version.get()["release"] == api.version.get()["release"]
    assert {entry["type"] for entry in api.cluster.resources.get()} == {"qemu", "node", "storage"}
    assert [entry["name"] for entry in api.cluster.status.get()] == ["pve1"]
    assert {entry["storage"] for entry in api.storage.get()} == {"local", "local-lvm", "ceph"}
    assert {entry["storage"] for entry in node.storage.get(content="images")} == {"local-lvm", "ceph"}
    assert [entry["userid"] for entry in api.access.users.get()] == ["svc@pve"]
    assert api.pools.get() == []
    assert {entry["key"] for entry in machine.pending.get()} >= {"name", "scsi0", "template"}
    assert machine.cloudinit.get() == [{"key": "name", "value": "vyos-1-5-2026-03-03-0027-rolling-r2"}]
    assert [entry["name"] for entry in machine.snapshot.get()] == ["current"]
    assert machine.status.current.get()["qmpstatus"] == "stopped"
    assert {entry["tokenid"] for entry in node.tasks.get()} == {"seed"}


@pytest.mark.slow
def test_the_usual_commands_of_community_proxmox_complete(scene: Scene, clients: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PVE_PORT": str(scene.stand_in.port),
        "PVE_URL": f"https://127.0.0.1:{scene.stand_in.port}",
        "PVE_TOKEN": TOKEN,
        "REQUESTS_CA_BUNDLE": str(scene.authority.certificate_file),
        "HOME": str(tmp_path),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    interpreter = f"ansible_python_interpreter={clients / 'bin' / 'python'}"
    played = subprocess.run(
        [clients / "bin" / "ansible-playbook", "-i", "localhost,", "-e", interpreter, PLAY],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert list(scene.stand_in.inventory.machines) == [9200]

    source = tmp_path / "lab.proxmox.yml"
    source.write_text(
        "plugin: community.proxmox.proxmox\nurl: \"{{ lookup('env', 'PVE_URL') }}\"\nuser: svc@pve\ntoken_id: seed\n"
        "token_secret: \"{{ lookup('env', 'PVE_TOKEN') }}\"\nvalidate_certs: true\nwant_facts: true\n"
    )
    listed = subprocess.run(
        [clients / "bin" / "ansible-inventory", "-i", source, "--list"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(listed.stdout)["proxmox_nodes"]["hosts"] == ["pve1"]
