import asyncio
import hashlib
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import asyncssh
import pytest

from hyops_assets.image.programs import run
from hyops_lab.faults import FaultTable
from hyops_lab.hetzner.disks import copy_sparse, create_dirty_disk
from hyops_lab.hetzner.rescue import RescueHost, Withheld
from hyops_lab.running import running
from hyops_lab.trace import Trace
from tests.hetzner_lab import processes_of_cells

MIB = 1 << 20
DISK_BYTES = 64 * MIB
ADDRESS = "127.0.0.200"
PASSWORD = "of-the-api-and-this-boot"
USER_DATA = "#cloud-config\n# what the API was given\n"
TELL = "cat /etc/shadow; curl -fsS http://169.254.169.254/hetzner/v1/userdata"
Answer = TypeVar("Answer")


class OneServer:
    """A rescue host with one booted server, as a stand-in of its own."""

    def __init__(self, directory: Path, *, discard_zeroes: bool = True, withholds: Collection[Withheld] = ()) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.disk = directory / "disk"
        self.trace = Trace(directory / "trace.jsonl")
        self.faults = FaultTable()
        self.powered: list[str] = []
        self.host = RescueHost(discard_zeroes=discard_zeroes, withholds=withholds)
        self.directory = directory
        create_dirty_disk(self.disk, DISK_BYTES)

    async def start(self) -> None:
        async def power_down(word: str) -> None:
            self.powered.append(word)
            await self.host.halt(1)

        self.host.prepare(self.directory / "rescue", self.trace, self.faults)
        await self.host.boot(
            1,
            address=ADDRESS,
            hostname="rescue",
            disk=self.disk,
            keys=[self.key.export_public_key().decode()],
            power_down=power_down,
            root_password=PASSWORD,
            user_data=USER_DATA,
        )

    async def stop(self) -> None:
        await self.host.stop()

    def connect(self, *, username: str = "root", key: asyncssh.SSHKey | None = None) -> Any:
        return asyncssh.connect(
            ADDRESS,
            self.host.port,
            username=username,
            client_keys=[key or self.key],
            known_hosts=None,
            config=None,
            agent_path=None,
        )

    def shown_key(self) -> str:
        async def session() -> str:
            async with self.connect() as connection:
                return connection.get_server_host_key().export_public_key().decode().split()[1]

        return asyncio.run(session())

    def run(self, command: str, *, stdin: bytes = b"") -> asyncssh.SSHCompletedProcess:
        async def session() -> asyncssh.SSHCompletedProcess:
            async with self.connect() as connection:
                return await connection.run(command, input=stdin, encoding=None)

        return asyncio.run(session())


@contextmanager
def booted(directory: Path, **options: Any) -> Iterator[OneServer]:
    server = OneServer(directory, **options)
    with running(server):
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OneServer]:
    with booted(tmp_path) as server:
        yield server


def await_(work: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(work)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_disk_keeps_its_size_when_dd_writes_three_bytes(server: OneServer) -> None:
    before = server.disk.read_bytes()

    done = server.run("printf abc | dd of=/dev/sda bs=4M")

    assert done.exit_status == 0
    assert server.disk.stat().st_size == DISK_BYTES
    assert server.disk.read_bytes() == b"abc" + before[3:]


def test_a_sparse_write_over_a_dirty_disk_reads_back_wrong(server: OneServer) -> None:
    written = b"\1" * MIB + bytes(8 * MIB)

    server.run("dd of=/dev/sda bs=1M iflag=fullblock conv=sparse", stdin=written)
    read_back = server.run(f"head -c {len(written)} /dev/sda | sha256sum").stdout

    assert isinstance(read_back, bytes)
    assert read_back.split()[0].decode() != sha256(written)


def test_a_sparse_write_over_a_discarded_disk_reads_back_right(server: OneServer) -> None:
    written = b"\1" * MIB + bytes(8 * MIB)

    server.run("blkdiscard -f /dev/sda && dd of=/dev/sda bs=1M iflag=fullblock conv=sparse,fsync", stdin=written)

    assert server.disk.stat().st_size == DISK_BYTES
    assert server.disk.stat().st_blocks * 512 <= 2 * MIB
    assert server.disk.read_bytes()[: len(written)] == written


def test_discarding_may_leave_the_data_where_the_backend_does(tmp_path: Path) -> None:
    with booted(tmp_path, discard_zeroes=False) as server:
        before = server.disk.read_bytes()

        assert server.run("blkdiscard -f /dev/sda").exit_status == 0
        assert server.disk.read_bytes() == before


def test_input_output_and_status_arrive_whole(server: OneServer) -> None:
    data = bytes(range(256)) * (5 * MIB // 256)

    echoed = server.run("cat; echo oops >&2; exit 7", stdin=data)

    assert (echoed.stdout, echoed.stderr, echoed.exit_status) == (data, b"oops\n", 7)


def test_a_rescue_system_has_one_disk(server: OneServer) -> None:
    done = server.run(
        "hostname; id -u; lsblk -bdno SIZE /dev/sda; blockdev --getsize64 /dev/sda; findmnt -no SOURCE /"
    )

    assert isinstance(done.stdout, bytes)
    assert done.stdout.decode().split()[:4] == ["rescue", "0", str(DISK_BYTES), str(DISK_BYTES)]
    assert "sda" not in done.stdout.decode().splitlines()[-1]


def test_a_rescue_system_has_its_root_password_its_user_data_and_its_host_key(server: OneServer) -> None:
    done = server.run(f"{TELL}; cut -d' ' -f2 /etc/ssh/ssh_host_*_key.pub")

    assert isinstance(done.stdout, bytes)
    shadow, *user_data, host_key = done.stdout.decode().splitlines()
    _, _, salt, hashed = shadow.split(":")[1].split("$")
    again = run(["openssl", "passwd", "-6", "-stdin", "-salt", salt], stdin=PASSWORD.encode()).stdout.decode()
    assert again.strip() == f"$6${salt}${hashed}"
    assert user_data == USER_DATA.splitlines()
    assert server.shown_key() == host_key


def test_a_rescue_system_may_lack_password_and_user_data(tmp_path: Path) -> None:
    with booted(tmp_path, withholds=get_args(Withheld)) as server:
        done = server.run(TELL)

    assert isinstance(done.stdout, bytes)
    assert done.stdout.decode().split(":")[:2] == ["root", "*"]
    assert isinstance(done.stderr, bytes)
    assert b"404" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "touch /usr/share/x",
        "touch /etc/ssl/x",
        "ls /home",
        "ls /var/lib",
        "grep -v ^root: /etc/shadow",
        "kill -0 $PPID && test -e /proc/1000000",
    ],
)
def test_a_command_cannot_touch_or_see_the_host(server: OneServer, command: str) -> None:
    assert server.run(command).exit_status != 0


@pytest.mark.parametrize("word", ["poweroff", "shutdown now", "reboot"])
def test_power_commands_reach_the_server(server: OneServer, word: str) -> None:
    assert server.run(word).exit_status == 0

    for _ in range(200):
        if server.powered:
            break
        asyncio.run(asyncio.sleep(0.01))
    assert server.powered == [word.split()[0]]


def test_only_root_with_the_given_key_gets_in(server: OneServer) -> None:
    async def knock(**how: Any) -> None:
        async with server.connect(**how):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        await_(knock(key=asyncssh.generate_private_key("ssh-ed25519")))
    with pytest.raises(asyncssh.PermissionDenied):
        await_(knock(username="admin"))
    await_(knock())


def test_a_command_dies_with_its_client(server: OneServer) -> None:
    async def leave() -> None:
        connection = await server.connect()
        async with connection:
            process = await connection.create_process("echo here; sleep 1000 | sleep 1000")
            await process.stdout.readline()
            assert processes_of_cells(server.directory) != []
            connection.abort()

    await_(leave())

    for _ in range(500):
        if not processes_of_cells(server.directory):
            return
        asyncio.run(asyncio.sleep(0.01))
    pytest.fail(f"still there: {processes_of_cells(server.directory)}")


def test_a_copy_of_a_disk_keeps_bytes_and_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    create_dirty_disk(source, DISK_BYTES)

    held = copy_sparse(source, target)

    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks == source.stat().st_blocks
    assert held < DISK_BYTES // 8
