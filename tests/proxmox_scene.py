"""A Proxmox site of the lab with a published record beside it: what the tests of stand-in and seeder share."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web
from proxmoxer import ProxmoxAPI

from hyops_assets.contract.record import Disk, Record, Variant
from hyops_assets.contract.seeding import SeedRequest
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.programs import run
from hyops_assets.settings.sites import ProxmoxSite
from hyops_lab.authority import Authority
from hyops_lab.proxmox.inventory import Machine
from hyops_lab.proxmox.server import ProxmoxStandIn
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.sites.proxmox.client import ProxmoxClient
from resources.sites.proxmox.errors import TaskFailed
from resources.sites.proxmox.seed import ProxmoxSeeder
from resources.sites.proxmox.tasks import wait_task
from resources.sites.proxmox.timeouts import ProxmoxTimeouts
from tests.hetzner_lab import ENVIRONMENT
from tests.specs_proxmox import SpecWatch

TOKEN_ID = "svc@pve!seed"
TOKEN = "8a1c7f0e-5d0c-4b7a-9a44-0123456789ab"
VERSION = "2026.03.03-0027-rolling-r2"
DISK_BYTES = 64 << 20
QUICK = ProxmoxTimeouts(request=5.0, outage=0.5, retry=0.01, first_poll=0.02, longest_poll=0.02, task=20.0, smoke=1.0)


def by_proxmoxer(scene: "Scene", *, token: str = TOKEN, port: int | None = None) -> Any:
    """Return the stand-in's API as others call it: through proxmoxer itself."""
    return ProxmoxAPI(
        "127.0.0.1",
        port=port or scene.stand_in.port,
        user="svc@pve",
        token_name="seed",
        token_value=token,
        verify_ssl=str(scene.authority.certificate_file),
    )


def end_of(scene: "Scene", upid: str) -> str:
    """Wait for a worker of the stand-in and return its exit status."""
    try:
        return wait_task(scene.client(), upid).exitstatus
    except TaskFailed as failure:
        return failure.exitstatus


class FileServer:
    """Serves a directory over TLS, as an object repository does."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self._directory = directory
        self._authority = authority
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        application = web.Application()
        application.router.add_static("/", self._directory)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        context = self._authority.server_context("127.0.0.1")
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


@dataclass
class Scene:
    """One site, one record, and everything between them."""

    directory: Path
    authority: Authority
    objects: FileServer
    stand_in: ProxmoxStandIn
    trace: Trace
    record: Record
    specs: SpecWatch
    site_options: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def qcow2(self) -> Path:
        return self.directory / "objects" / self.record.variants["qcow2"].file_name

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.objects.port}/{self.qcow2.name}"

    def site(self, **options: object) -> ProxmoxSite:
        settings: dict[str, object] = {
            "host": self.stand_in.host,
            "port": self.stand_in.port,
            "node": "pve1",
            "token_id": TOKEN_ID,
            "token_env": "PROXMOX_TOKEN",
            "ca_file": self.authority.certificate_file,
            "template_smoke_gate": False,
            "lab": True,
        }
        return ProxmoxSite.model_validate(settings | self.site_options | options)

    def client(self, **options: object) -> ProxmoxClient:
        return ProxmoxClient(self.site(**options), TOKEN, timeouts=QUICK)

    def seeder(self, **options: object) -> ProxmoxSeeder:
        client = self.client(**options)
        return ProxmoxSeeder(client, client.site)

    def request(
        self,
        record: Record | None = None,
        *,
        url: str | None = None,
        run_id: str = "run-1",
        environment: str | None = ENVIRONMENT,
    ) -> SeedRequest:
        return SeedRequest(
            record=record or self.record, url=url or self.url, run_id=run_id, site="lab", environment=environment
        )

    def other(self, *, version: str = "2026.03.04-0027-rolling") -> SeedRequest:
        """Ask for another record, with a disk of its own."""
        record = make_record(self.qcow2.parent, version=version, seed=version.encode())
        name = record.variants["qcow2"].file_name
        return self.request(record, url=self.url.replace(self.qcow2.name, name))

    def machine(self, vmid: int) -> Machine:
        return self.stand_in.inventory.machines[vmid]

    def settle(self) -> None:
        """Wait for every worker that runs."""
        for task in self.client().list_tasks(source="active"):
            self.finish(task.upid)

    def finish(self, upid: str) -> None:
        wait_task(self.client(), upid)

    def mutations(self) -> int:
        return self.trace.mutations()["proxmox"]

    def templates(self) -> list[int]:
        return [vmid for vmid, machine in self.stand_in.inventory.machines.items() if machine.is_template]

    def disks(self) -> list[str]:
        return sorted(str(volume["volid"]) for volume in self.stand_in.storages.volumes("local-lvm"))


def make_record(
    directory: Path, *, version: str = VERSION, seed: bytes = b"vyos", disk_bytes: int = DISK_BYTES
) -> Record:
    """Put the qcow2 of a sparse disk with something in it into a directory, and return the record of both."""
    disk, packed = _disk_and_qcow2(seed, disk_bytes)
    qcow2 = directory / f"vyos-1.5-{version}.qcow2"
    directory.mkdir(parents=True, exist_ok=True)
    qcow2.write_bytes(packed)
    return Record(
        key="vyos-1.5",
        version=version,
        disk=disk,
        variants={
            "qcow2": Variant(file_name=qcow2.name, size_bytes=len(packed), sha256=hashlib.sha256(packed).hexdigest())
        },
        lab=True,
    )


@cache
def _disk_and_qcow2(seed: bytes, disk_bytes: int) -> tuple[Disk, bytes]:
    """Make a disk and its qcow2 once per process: a few hundred kilobytes that every scene gets a copy of."""
    with TemporaryDirectory() as scratch:
        raw, qcow2 = Path(scratch, "disk.raw"), Path(scratch, "disk.qcow2")
        with raw.open("wb") as disk:
            disk.truncate(disk_bytes)
            for offset in (0, 5 << 20, disk_bytes - 4096):
                disk.seek(offset)
                disk.write(hashlib.sha512(seed + bytes([offset % 251])).digest() * 64)
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2])
        return Disk(size_bytes=disk_bytes, sha256=sha256_of_file(raw)), qcow2.read_bytes()


@contextmanager
def proxmox_scene(
    directory: Path, *, boot_guests: bool = False, nodes: tuple[str, ...] = ("pve1",)
) -> Iterator[Scene]:
    """Run a site and a file server for as long as the block lasts; every exchange must fit the API schema."""
    authority = Authority(directory / "ca")
    record = make_record(directory / "objects")
    trace = Trace(directory / "trace.jsonl")
    stand_in = make_stand_in(directory, authority, trace, boot_guests=boot_guests, nodes=nodes)
    objects = FileServer(directory / "objects", authority)
    specs = SpecWatch()
    stand_in.observers.append(specs)
    with running(objects, stand_in):
        yield Scene(directory, authority, objects, stand_in, trace, record, specs)
    assert specs.violations == []


def make_stand_in(
    directory: Path,
    authority: Authority,
    trace: Trace,
    *,
    boot_guests: bool = False,
    port: int = 0,
    nodes: tuple[str, ...] = ("pve1",),
) -> ProxmoxStandIn:
    return ProxmoxStandIn(
        directory / "pve",
        trace,
        authority,
        token_id=TOKEN_ID,
        token=TOKEN,
        port=port,
        nodes=nodes,
        # The lab's authority alone: the system's hundreds take longer to load than a whole scene to open.
        ca_bundle=authority.certificate_file,
        boot_guests=boot_guests,
    )
