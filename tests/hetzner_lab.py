"""A Hetzner project, an https object server and a record to seed, for the tests of the stand-in and of the seeder."""

import asyncio
import hashlib
import lzma
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hyops_assets.contract.record import Disk, Record, Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.settings.sites import HetznerSite
from hyops_lab.authority import Authority
from hyops_lab.faults import Action, Rule
from hyops_lab.hetzner import HetznerStandIn, RescueHost
from hyops_lab.hetzner.answers import Exchange
from hyops_lab.hetzner.rescue import Withheld
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.sites.hetzner.client import HetznerClient
from resources.sites.hetzner.seed import HetznerSeeder
from resources.sites.hetzner.timeouts import HetznerTimeouts
from tests.specs import HETZNER, require_specification

ENVIRONMENT, ANOTHER = "0e" * 10, "a1" * 10
"""Ids of two environments that share a project, or a node."""
TOKEN = "lab-token-that-must-never-be-seen-0123456789"
DISK_BYTES = 16 << 20
VERSION = "2026.03.03-0027-rolling"
QUICK = HetznerTimeouts(
    request=5.0,
    rate=3.0,
    outage=0.3,
    first_poll=0.005,
    longest_poll=0.1,
    action=20.0,
    snapshot=20.0,
    boot=2.0,
    ssh=5.0,
    off=2.0,
    locked=3.0,
    write=60.0,
)


@dataclass
class Objects:
    """An https server of one file: `chunked` announces no length, `stall_after` stops sending after so many bytes."""

    authority: Authority
    served: bytes
    chunked: bool = False
    stall_after: int | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    hits: int = 0
    port: int = 0
    _runner: web.AppRunner | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/network/vyos/vyos-1.5-{VERSION}.raw.xz"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{name:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        context = self.authority.server_context("127.0.0.1")
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        if not self.served:
            raise web.HTTPNotFound
        response = web.StreamResponse()
        if self.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(self.served)
        await response.prepare(request)
        if self.stall_after is not None and "curl" in request.headers["User-Agent"]:
            await response.write(self.served[: self.stall_after])
            self.stalled.set()
            await asyncio.sleep(60)
        await response.write(self.served)
        return response


def make_disk() -> bytes:
    """A disk of 16 MiB: something at both ends and in the middle, and 4 MiB of zeros that a sparse write skips."""
    disk = bytearray(DISK_BYTES)
    for offset, length in ((0, 1 << 20), (9 << 20, 1 << 20), (DISK_BYTES - 512, 512)):
        disk[offset : offset + length] = hashlib.shake_256(str(offset).encode()).digest(length)
    return bytes(disk)


DISK = make_disk()
PACKED = lzma.compress(DISK, preset=0)


def make_record(disk: bytes = DISK, packed: bytes = PACKED, *, lab: bool = True) -> Record:
    return Record(
        key="vyos-1.5",
        version=VERSION,
        disk=Disk(size_bytes=len(disk), sha256=hashlib.sha256(disk).hexdigest()),
        variants={
            "raw.xz": Variant(
                file_name=f"vyos-1.5-{VERSION}.raw.xz",
                size_bytes=len(packed),
                sha256=hashlib.sha256(packed).hexdigest(),
            )
        },
        lab=lab,
    )


@dataclass
class Lab:
    """What a test talks to."""

    standin: HetznerStandIn
    objects: Objects
    trace: Trace
    site: HetznerSite
    directory: Path
    timeouts: HetznerTimeouts = QUICK
    watchers: list[Callable[[Exchange], None]] = field(default_factory=list)

    def client(self, token: str = TOKEN) -> HetznerClient:
        return HetznerClient(self.standin.url, token, timeouts=self.timeouts)

    def seeder(self, *, client: HetznerClient | None = None, **options: Any) -> HetznerSeeder:
        return HetznerSeeder(client or self.client(), self.site, **options)

    def request(
        self,
        record: Record | None = None,
        *,
        url: str | None = None,
        run_id: str = "run-1",
        environment: str | None = ENVIRONMENT,
    ) -> SeedRequest:
        return SeedRequest(
            record=record or make_record(),
            url=url or self.objects.url,
            run_id=run_id,
            site="lab",
            environment=environment,
        )

    def fault(self, method: str, path: str, action: Action, *nth: int) -> None:
        self.standin.faults.add(Rule(method, path, action, frozenset(nth or (1,))))

    def snapshots(self) -> list[Any]:
        return [image for image in self.standin.project.contents.images.values() if image.kind == "snapshot"]

    def leftovers(self) -> list[str]:
        contents = self.standin.project.contents
        return [thing.name for things in (contents.servers, contents.keys) for thing in things.values()]

    def disk_of(self, image_ref: str) -> bytes:
        with self.standin.image_disk(int(image_ref)).open("rb") as file:
            return file.read(DISK_BYTES)

    def mutations(self) -> int:
        return self.trace.mutations()["hetzner"]


@contextmanager
def hetzner_lab(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    discard_zeroes: bool = True,
    without: Collection[str] = (),
    resolves: bool = True,
    withholds: Collection[Withheld] = (),
    rescues: type[RescueHost] = RescueHost,
    site: dict[str, Any] | None = None,
    **options: Any,
) -> Iterator[Lab]:
    """Run the lab; `tests/conftest.py` holds everything that is said against Hetzner's published schema."""
    require_specification(HETZNER)
    authority = Authority(directory / "ca")
    # The lab's authority alone: the system's hundreds take longer to load than a whole lab to open.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_file))
    trace = Trace(directory / "trace.jsonl")
    rescue = rescues(
        bundle=authority.certificate_file,
        discard_zeroes=discard_zeroes,
        without=without,
        resolves=resolves,
        withholds=withholds,
    )

    watchers: list[Callable[[Exchange], None]] = []

    def observer(exchange: Exchange) -> None:
        for watcher in watchers:
            watcher(exchange)

    standin = HetznerStandIn(directory / "hetzner", trace, token=TOKEN, rescue=rescue, observer=observer, **options)
    objects = Objects(authority, PACKED)
    with running(objects, standin):
        settings = HetznerSite(endpoint=standin.url, rescue_ssh_port=standin.rescue_ssh_port, lab=True, **(site or {}))
        yield Lab(standin, objects, trace, settings, directory, watchers=watchers)


def processes_of_cells(directory: Path) -> list[str]:
    """Return the command lines of confined commands that run on disks below a directory."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if re.search(rb"(^|/)bwrap$", words[0]) and any(word.startswith(bytes(directory)) for word in words):
            found.append(b" ".join(words).decode(errors="replace"))
    return found
