"""The client through the real proxmoxer over TLS: what it says when it is refused, and what it never says."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hyops_lab.faults import Answer, Delay, Rule
from hyops_lab.proxmox.inventory import Machine
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import (
    MachineLocked,
    NodeUnreachable,
    NoSuchObject,
    NotTrusted,
    PrivilegeMissing,
    ProxmoxError,
    SiteNotReady,
    StillLinked,
    TaskFailed,
    TaskSlow,
    TokenRefused,
)
from resources.sites.proxmox.tasks import wait_task
from tests.proxmox_scene import QUICK, TOKEN, Scene, proxmox_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with proxmox_scene(tmp_path_factory.mktemp("pve")) as scene:
        yield scene


def test_a_wrong_token_is_refused_without_being_repeated(scene: Scene) -> None:
    secret = "00000000-dead-beef-0000-000000000000"
    with pytest.raises(TokenRefused) as refusal:
        ProxmoxClient(scene.site(), secret).get_version()

    assert "401 Authentication failed!" in refusal.value.message
    assert secret not in str(refusal.value)


@pytest.mark.parametrize("secret", ["", "8a1c\n", "8a1c 7f0e", "8a1c\r\nX-Other: 1"])
def test_a_secret_with_white_space_is_refused_before_a_library_can_print_it(scene: Scene, secret: str) -> None:
    with pytest.raises(SiteNotReady, match="PROXMOX_TOKEN") as refusal:
        ProxmoxClient(scene.site(), secret)
    assert not secret or secret not in str(refusal.value)


def test_a_token_id_without_a_token_name_is_refused(scene: Scene) -> None:
    with pytest.raises(SiteNotReady, match="user@realm!name"):
        ProxmoxClient(scene.site().model_copy(update={"token_id": "root@pam"}), TOKEN)


def test_the_token_is_in_no_log_no_repr_and_no_trace(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "hyops", "proxmoxer", "urllib3", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    seeder = scene.seeder()

    seeded = seeder.seed(scene.request())

    written = "".join(path.read_text() for path in (scene.trace.path, scene.directory / "pve" / "inventory.json"))
    for text in (caplog.text, repr(seeder.client), repr(seeder.client.__dict__), repr(seeded), written):
        assert TOKEN not in text


def test_an_untrusted_certificate_is_distinguished_from_a_silent_node(scene: Scene) -> None:
    with pytest.raises(NotTrusted, match="not trusted"):
        scene.client(ca_file=None).get_version()


def test_a_closed_port_is_a_transient_error(scene: Scene) -> None:
    with pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:1 does not answer"):
        scene.client(port=1).get_version()


def test_a_slow_answer_is_given_up_on(scene: Scene) -> None:
    scene.stand_in.faults.add(Rule("GET", "/nodes", Delay(0.6), nth=frozenset()))
    client = ProxmoxClient(scene.site(), TOKEN, timeouts=replace(QUICK, request=0.3, outage=0.1))

    with pytest.raises(NodeUnreachable, match="it takes too long"):
        client.list_nodes()
    scene.stand_in.faults.rules.clear()


def test_parameters_that_proxmox_refuses_are_named_one_by_one(scene: Scene) -> None:
    with pytest.raises(ProxmoxError, match="no_such_option: property is not defined") as refusal:
        scene.client().create_machine(9299, no_such_option="x", onboot=True)
    assert refusal.value.fields["onboot"] == "type check ('boolean') failed - got 'True'"


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "Permission check failed (/vms/9299, VM.Audit)", PrivilegeMissing),
        (500, "Configuration file 'nodes/pve1/qemu-server/9299.conf' does not exist", NoSuchObject),
        (500, "VM is locked (create)", MachineLocked),
        (500, "base volume 'local-lvm:base-9299-disk-0' is still in use by linked cloned", StillLinked),
        (596, "Connection timed out", NodeUnreachable),
        (500, "can't lock file '/var/lock/qemu-server/lock-9299.conf' - got timeout", NodeUnreachable),
    ],
)
def test_an_error_has_the_type_of_its_cause(scene: Scene, status: int, reason: str, kind: type[Exception]) -> None:
    scene.stand_in.inventory.machines[9299] = Machine(9299, {"name": "there"})
    scene.stand_in.faults.rules.clear()
    scene.stand_in.faults.add(Rule("GET", "/nodes/pve1/qemu/9299/config", Answer(status, "", reason), nth=frozenset()))

    with pytest.raises(kind, match="GET /nodes/pve1/qemu/9299/config"):
        scene.client().get_config(9299)
    scene.stand_in.faults.rules.clear()
    del scene.stand_in.inventory.machines[9299]


def test_a_failed_task_carries_the_end_of_its_log(scene: Scene) -> None:
    client = scene.client()
    upid = client.create_download("local", url=f"{scene.url}.missing", file_name="missing.qcow2", sha256="0" * 64)

    with pytest.raises(TaskFailed, match="HTTP 404") as failure:
        wait_task(client, upid)
    assert "downloading https://127.0.0.1" in failure.value.message
    assert failure.value.upid == upid


def test_a_task_that_does_not_end_in_time_is_worth_another_look(scene: Scene) -> None:
    scene.stand_in.workers.delay_seconds = 0.5
    client = scene.client()
    upid = client.create_download("local", url=scene.url, file_name="slow.qcow2", sha256="0" * 64)
    scene.stand_in.workers.delay_seconds = 0.0
    client.timeouts = replace(QUICK, task=0.05)

    with pytest.raises(TaskSlow):
        wait_task(client, upid)


def test_tasks_of_other_users_are_not_taken_for_ours(scene: Scene) -> None:
    scene.stand_in.inventory.machines[9298] = Machine(9298, {"name": "other"})
    client = scene.client()
    for task in scene.stand_in.inventory.tasks.values():
        assert "svc@pve!seed" in task.upid
    assert client.list_tasks(source="all", kind="qmcreate", vmid=9298) == []
