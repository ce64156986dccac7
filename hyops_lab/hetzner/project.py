"""What a project holds: servers, images, keys and actions, kept in one JSON file that outlives a restart.

Data and lookups only. What an action does to it is in `work.py`, how it is shown in `views.py`.
"""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, Field

ServerStatus = Literal["initializing", "starting", "running", "stopping", "off", "deleting"]
Boot = Literal["rescue", "disk"]
_LOOPBACK = "::/64"
"""The network whose first host is loopback's: the one IPv6 address that every machine has."""


class Server(BaseModel):
    """A server and how it was booted. `rescue_keys` are public keys in OpenSSH's format.

    `rescue_password` is root's in the next or present boot of the rescue system.
    `ipv4` is an address, `ipv6` a network; either is empty where the server was not given one.
    """

    id: int
    name: str
    type_name: str
    location: str
    image_id: int
    ipv4: str
    ipv6: str = ""
    created: datetime
    labels: dict[str, str] = {}
    status: ServerStatus = "initializing"
    boot: Boot | None = None
    rescue_enabled: bool = False
    rescue_keys: list[str] = []
    rescue_password: str = ""
    user_data: str = ""
    own_keys: list[str] = []

    @property
    def address(self) -> str:
        """Where it is reached: its IPv4 address, else the first host of its network."""
        return self.ipv4 or (str(ipaddress.ip_network(self.ipv6)[1]) if self.ipv6 else "")


class Image(BaseModel):
    """A snapshot or a system image. `image_gb` is None while it is being written."""

    id: int
    kind: Literal["system", "snapshot"]
    name: str | None
    description: str
    created: datetime
    architecture: Literal["x86", "arm"] = "x86"
    status: Literal["creating", "available", "unavailable"] = "available"
    labels: dict[str, str] = {}
    disk_gb: int = 5
    image_gb: float | None = None
    protected: bool = False
    server_id: int | None = None
    server_name: str | None = None
    os_flavor: str = "unknown"
    os_version: str | None = None


class Key(BaseModel):
    """A public SSH key."""

    id: int
    name: str
    public_key: str
    fingerprint: str
    created: datetime
    labels: dict[str, str] = {}


class Failure(BaseModel):
    """Why an action failed, in the vendor's words."""

    code: str
    message: str


class Task(BaseModel):
    """An action: work that goes on after the answer. It waits for the task `after`; a pretended one does nothing."""

    id: int
    command: str
    resources: list[tuple[str, int]]
    started: datetime
    finished: datetime | None = None
    status: Literal["running", "success", "error"] = "running"
    error: Failure | None = None
    after: int | None = None
    pretended: bool = False


class Contents(BaseModel):
    """The file."""

    next_id: int = 1000
    servers: dict[int, Server] = {}
    images: dict[int, Image] = {}
    keys: dict[int, Key] = {}
    tasks: dict[int, Task] = Field(default_factory=dict)


Named = TypeVar("Named", Server, Image, Key)


class Project:
    """The contents of one directory: `project.json` and one disk file per server and snapshot."""

    def __init__(self, directory: Path, *, clock_ahead: float = 0.0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._clock_ahead = timedelta(seconds=clock_ahead)
        self._file = directory / "project.json"
        self.contents = Contents.model_validate_json(self._file.read_bytes()) if self._file.exists() else Contents()
        if not self.contents.images:
            self._install_system_images()

    def save(self) -> None:
        """Write everything, atomically."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(self.contents.model_dump_json(indent=1))
        partial.replace(self._file)

    def new_id(self) -> int:
        """Return an id that no resource of any kind has or had."""
        self.contents.next_id += 1
        return self.contents.next_id

    def server_disk(self, server_id: int) -> Path:
        """Return the file that is a server's disk."""
        return self._directory / f"server-{server_id}.disk"

    def image_disk(self, image_id: int) -> Path:
        """Return the file that holds a snapshot's disk."""
        return self._directory / f"image-{image_id}.disk"

    def running_tasks(self, kind: str, resource_id: int) -> list[Task]:
        """Return the actions that hold a resource locked."""
        return [
            task
            for task in self.contents.tasks.values()
            if task.status == "running" and (kind, resource_id) in task.resources
        ]

    def free_address(self) -> str:
        """Return a loopback address that no server has: every server is reached on the same port."""
        taken = {server.ipv4 for server in self.contents.servers.values()}
        return next(address for address in (f"127.0.0.{n}" for n in range(2, 255)) if address not in taken)

    def free_network(self, server_id: int, *, reachable: bool) -> str | None:
        """Return an IPv6 network for a server; None where the one that is reachable on loopback is taken."""
        if not reachable:
            return f"2001:db8:{server_id >> 16:x}:{server_id & 0xFFFF:x}::/64"
        return None if any(server.ipv6 == _LOOPBACK for server in self.contents.servers.values()) else _LOOPBACK

    def now(self) -> datetime:
        """Return the time as the API writes it, to the second."""
        return (datetime.now(UTC) + self._clock_ahead).replace(microsecond=0)

    def _install_system_images(self) -> None:
        for name, flavor, version in (("debian-12", "debian", "12"), ("ubuntu-24.04", "ubuntu", "24.04")):
            image_id = self.new_id()
            self.contents.images[image_id] = Image(
                id=image_id,
                kind="system",
                name=name,
                description=name.replace("-", " ").title(),
                created=self.now(),
                os_flavor=flavor,
                os_version=version,
            )
        self.save()


def by_name(resources: Iterable[Named], name: str) -> Named | None:
    """Return the resource of that name."""
    return next((resource for resource in resources if resource.name == name), None)


def remove_disk(path: Path) -> None:
    """Delete a disk that may be half made."""
    for file in (path, path.with_suffix(".partial")):
        file.unlink(missing_ok=True)
