"""The stand-ins as murderers: who dies, at which call, and whether what was asked for is done."""

import asyncio
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import httpx
import pytest

from hyops_lab.authority import Authority
from hyops_lab.faults import FaultTable, Kill, Rule, killing_as_it_grows
from hyops_lab.hetzner.standin import HetznerStandIn
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from tests.lab.test_hetzner_rescue import booted
from tests.proxmox_scene import TOKEN as PROXMOX_TOKEN
from tests.proxmox_scene import proxmox_scene

MIB = 1 << 20
TOKEN = "lab-token"


@dataclass
class Victim:
    """A process group of two that does nothing but live."""

    group: int

    def wait(self) -> int:
        """Wait for its end and return the signal that ended it."""
        _, status = os.waitpid(self.group, 0)
        return os.WTERMSIG(status)


@pytest.fixture
def victim() -> Iterator[Victim]:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        threading.Event().wait()
    # The group is there as soon as the child made it.
    while os.getpgid(pid) != pid:
        os.sched_yield()
    yield Victim(pid)
    try:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


@contextmanager
def project(directory: Path) -> Iterator[tuple[HetznerStandIn, Callable[[str], httpx.Response]]]:
    standin = HetznerStandIn(directory / "hetzner", Trace(directory / "trace.jsonl"), token=TOKEN)
    with running(standin), httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
        yield standin, lambda name: client.post(f"{standin.url}/ssh_keys", json={"name": name, "public_key": key})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_kills_before_it_is_done_or_after_and_is_never_answered(
    tmp_path: Path, victim: Victim, when: str
) -> None:
    with project(tmp_path) as (standin, create_key):
        kill = Kill(victim.group, "before" if when == "before" else "after")
        standin.faults.add(Rule("POST", "/ssh_keys", kill))
        with pytest.raises(httpx.TransportError):
            create_key("one")
        assert victim.wait() == signal.SIGKILL
        assert len(standin.project.contents.keys) == (0 if when == "before" else 1)
        assert create_key("two").status_code == (201 if when == "before" else 409)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_node_kills_too(tmp_path: Path, victim: Victim, when: str) -> None:
    with proxmox_scene(tmp_path) as scene:
        kill = Kill(victim.group, "before" if when == "before" else "after")
        scene.stand_in.faults.add(Rule("POST", "/nodes/pve1/storage/local/download-url", kill))
        url = f"https://127.0.0.1:{scene.stand_in.port}/api2/json/nodes/pve1/storage/local/download-url"
        with pytest.raises(httpx.TransportError):
            httpx.post(
                url,
                data={"url": scene.url, "content": "import", "filename": "a.qcow2"},
                headers={"Authorization": f"PVEAPIToken=svc@pve!seed={PROXMOX_TOKEN}"},
                verify=ssl.create_default_context(cafile=scene.authority.certificate_file),
                trust_env=False,
            )
        assert victim.wait() == signal.SIGKILL
        assert len(scene.stand_in.inventory.tasks) == (0 if when == "before" else 1)


def test_an_import_kills_in_its_midst_and_goes_on(tmp_path: Path, victim: Victim) -> None:
    with proxmox_scene(tmp_path) as scene:
        scene.stand_in.faults.add(Rule("IMPORT", "local-lvm:vm-.*", Kill(victim.group, 4096)))
        scene.seeder().seed(scene.request())
        assert victim.wait() == signal.SIGKILL
        assert len(scene.templates()) == 1


@pytest.mark.parametrize("when", ["before", "after", 3 * MIB])
def test_a_file_is_sent_on_to_its_client_when_another_process_is_killed(
    tmp_path: Path, victim: Victim, when: int
) -> None:
    content = os.urandom(5 * MIB)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "file").write_bytes(content)
    authority = Authority(tmp_path / "ca")
    server = ObjectServer(tmp_path / "objects", Trace(tmp_path / "trace.jsonl"), authority)
    server.faults.add(Rule("GET", "/file", Kill(victim.group, when)))
    with running(server):
        got = httpx.get(
            f"{server.url}/file", verify=ssl.create_default_context(cafile=authority.certificate_file), trust_env=False
        )
    assert got.content == content
    assert victim.wait() == signal.SIGKILL


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_command_on_a_server_kills_before_it_runs_or_after(tmp_path: Path, victim: Victim, when: str) -> None:
    with booted(tmp_path) as server:
        dirt = server.disk.stat().st_blocks * 512
        kill = Kill(victim.group, "before" if when == "before" else "after")
        server.faults.add(Rule("SSH", "/servers/1", kill))
        with suppress(asyncssh.Error):
            server.run(f"blkdiscard -f /dev/sda; head -c {8 * MIB} /dev/urandom | dd of=/dev/sda bs=4M")
        assert victim.wait() == signal.SIGKILL
        assert server.disk.stat().st_blocks * 512 == (dirt if when == "before" else 8 * MIB)


def test_a_growing_file_kills_at_so_many_bytes_more_than_it_held_at_its_emptiest(
    tmp_path: Path, victim: Victim
) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 4 * MIB)

    async def write() -> None:
        # Counted from the 4 MiB that it held at first, a file of less than 6 MiB would kill no process.
        async with asyncio.timeout(30), killing_as_it_grows(Kill(victim.group, 2 * MIB), path):
            os.truncate(path, 0)
            while not _is_dead(victim.group):
                if path.stat().st_size < 5 * MIB:
                    with path.open("ab") as file:
                        file.write(b"x" * (1 << 16))
                await asyncio.sleep(0.002)

    asyncio.run(write())
    assert path.stat().st_size >= 2 * MIB
    assert victim.wait() == signal.SIGKILL


def _is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_poll_that_repeats_the_call_before_it_is_not_counted_where_a_rule_says_so() -> None:
    table = FaultTable()
    table.add(Rule("GET", "/actions/[0-9]+", Kill(0, "before"), frozenset({2}), polls_once=True))
    calls = ["/actions/1", "/actions/1", "/actions/1", "/servers/1", "/actions/1"]
    assert [table.due("GET", path) is not None for path in calls] == [False, False, False, False, True]
