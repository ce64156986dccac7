"""Hosts that answer at a server's address and are not its rescue system."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from hyops_lab.hetzner import RescueHost
from tests.hetzner_lab import make_record

Answering = Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


class AnyKey(asyncssh.SSHServer):
    """Lets everyone in."""

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


async def listen(address: str, port: int, answer: Answering) -> asyncssh.SSHAcceptor:
    """Answer at an address, with a host key of its own."""
    return await asyncssh.listen(
        address,
        port,
        server_factory=AnyKey,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=answer,
        encoding=None,
        reuse_address=True,
    )


class Impostor(RescueHost):
    """In place of every rescue system, a host that says what is expected of one, and writes nothing."""

    commands: tuple[str, ...] = ()
    said = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._listeners: dict[int, asyncssh.SSHAcceptor] = {}

    async def boot(self, server_id: int, *, address: str, **_: Any) -> None:
        await self.halt(server_id)
        self._listeners[server_id] = await listen(address, self.port, self._answer)

    async def halt(self, server_id: int) -> None:
        if listener := self._listeners.pop(server_id, None):
            listener.close()
            await listener.wait_closed()

    async def stop(self) -> None:
        for server_id in list(self._listeners):
            await self.halt(server_id)

    async def _answer(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        type(self).commands += (process.command or "",)
        process.stdout.write(self.said.encode())
        process.exit(0)


def expected_words(**changed: str) -> str:
    """Return what a rescue system prints that wrote the record, all of it at once."""
    record = make_record()
    words = {
        "host_key": "own",
        "shadow_setting": "$6$saltsalt",
        "shadow_mac": "0" * 64,
        "user_data_mac": "0" * 64,
        "hostname": "rescue",
        "root": "overlay",
        "disk_bytes": "40000000000",
        "statuses": "0 0 0 0 0 0",
        "transport_sha256": record.variants["raw.xz"].sha256,
        "readback_sha256": record.disk.sha256,
    }
    return "".join(f"{name}={value}\n" for name, value in (words | changed).items())


class Relay(RescueHost):
    """In front of every rescue system, a host in the middle: it has a way in, and passes on whatever is said.

    `swaps` has it put the host key that the true one shows in the place of its own, as far as it can be seen.
    """

    swaps = False
    passed_on = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._way_in = asyncssh.generate_private_key("ssh-ed25519")
        self._relays: dict[int, asyncssh.SSHAcceptor] = {}

    async def boot(self, server_id: int, *, address: str, keys: list[str], **options: Any) -> None:
        hidden = address.replace("127.0.0.", "127.0.1.")
        own = self._way_in.export_public_key().decode()
        await super().boot(server_id, address=hidden, keys=[*keys, own], **options)

        async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
            await self._pass_on(hidden, process)

        self._relays[server_id] = await listen(address, self.port, answer)

    async def halt(self, server_id: int) -> None:
        await super().halt(server_id)
        if relay := self._relays.pop(server_id, None):
            relay.close()
            await relay.wait_closed()

    async def _pass_on(self, hidden: str, process: asyncssh.SSHServerProcess[bytes]) -> None:
        async with asyncssh.connect(
            hidden,
            self.port,
            username="root",
            client_keys=[self._way_in],
            known_hosts=None,
            config=None,
            agent_path=None,
        ) as true:
            command = process.command or ""
            if self.swaps:
                command = swapped(command, true)
            done = await true.run(command, encoding=None, stdin=asyncssh.DEVNULL)
            type(self).passed_on += 1
        assert isinstance(done.stdout, bytes)
        process.stdout.write(done.stdout)
        process.exit(done.exit_status or 0)


def swapped(command: str, true: asyncssh.SSHClientConnection) -> str:
    """Return a question about our host key as one about the true host's: it is the question's last word."""
    key = true.get_server_host_key()
    assert key is not None
    blob = key.export_public_key().decode().split()[1]
    return " ".join([*command.split(" ")[:-1], blob])
