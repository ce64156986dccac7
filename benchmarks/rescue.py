"""Writing a disk from a rescue system: our pipeline against the one that the usual upload tool runs.

Both run over SSH in the lab's rescue system, confined as every command there is, and fetch the same raw.xz from the
same server over TLS.
"""

import asyncio
import multiprocessing
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import asyncssh

from benchmarks.comparison import Comparison
from benchmarks.rawxz import QUICK, SMALL, make_disk
from hyops_assets.contract.record import Disk, Variant
from hyops_assets.image.digests import sha256_of_file
from hyops_assets.image.variants import rawxz
from hyops_lab.authority import Authority
from hyops_lab.hetzner.disks import create_dirty_disk
from hyops_lab.hetzner.rescue import RescueHost
from hyops_lab.objects import ObjectServer
from hyops_lab.running import running
from hyops_lab.trace import Trace
from resources.sites.hetzner import rescue
from resources.sites.hetzner.proof import Secrets, new_nonce, user_data_with
from resources.sites.hetzner.shell import Login, logged_in
from resources.sites.hetzner.source import Source
from resources.sites.hetzner.timeouts import HetznerTimeouts

MIB = 1 << 20
SERVER_DISK_BYTES = 40_000_000_000
_ADDRESS = "127.0.0.2"
_SERVER_ID = 1
_FILE = "vyos-1.5-2026.03.03-0027-rolling.raw.xz"
_WITHIN_SECONDS = 1800.0
_THEIRS = (
    "set -euo pipefail; blkdiscard --force /dev/sda;"
    " wget --no-verbose --ca-certificate=/opt/lab-ca.pem -O - {url} | xz -cd | dd of=/dev/sda bs=4M conv=sparse;"
    # Theirs syncs the whole system; on a server that is this disk, here it would be everybody's.
    " sync /dev/sda"
)
"""hcloud-upload-image 1.5.0, hcloudimages/client.go; the certificate is the lab's."""


@dataclass
class _Laps:
    """When our write began, and when it went over to reading back."""

    begun: float = field(default_factory=time.perf_counter)
    reading: float = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage == "read back" and not self.reading:
            self.reading = time.perf_counter()


def compare(scratch: Path, *, quick: bool) -> Iterator[Comparison]:
    """Time both ways on dirty disks of one server, taking turns; our readback apart."""
    size = QUICK if quick else SMALL
    raw = scratch / "disk.raw"
    make_disk(raw, size)
    objects = scratch / "objects"
    objects.mkdir()
    encoded = rawxz.encode(raw, objects / _FILE, disk_format="raw")
    disk, variant = Disk(size_bytes=size.disk_bytes, sha256=sha256_of_file(raw)), _variant(objects / _FILE)
    raw.unlink()
    assert encoded.sha256 == variant.sha256
    ours: list[float] = []
    theirs: list[float] = []
    readbacks: list[float] = []
    with _rescue(scratch) as (login, url):
        source = Source(variant, url=f"{url}/{_FILE}")
        for _ in range(1 if quick else 3):
            laps = _Laps()
            written = rescue.write_disk(login, source, disk, timeouts=HetznerTimeouts(), progress=laps)
            readbacks.append(time.perf_counter() - laps.reading)
            ours.append(laps.reading - laps.begun)
            assert (written.readback_sha256, written.sparse) == (disk.sha256, True)
            theirs.append(_their_seconds(login, f"{url}/{_FILE}"))
    yield Comparison(
        work=f"raw.xz of {variant.size_bytes // MIB} MiB to a disk of {size.disk_bytes // MIB} MiB, in the rescue",
        against="wget | xz -cd | dd conv=sparse",
        ours=min(ours),
        theirs=min(theirs),
        target=1,
        included="ours: login, proof of where it is, discard, SHA-256 of what arrives; theirs: login, discard,"
        f" no digest; not in it: our readback of the whole disk, {min(readbacks):.2f} s",
    )


def _variant(path: Path) -> Variant:
    return Variant(file_name=path.name, size_bytes=path.stat().st_size, sha256=sha256_of_file(path))


def _their_seconds(login: Login, url: str) -> float:
    async def session() -> float:
        begun = time.perf_counter()
        async with logged_in(login, HetznerTimeouts()) as shell:
            line = shlex.join(["bash", "-c", _THEIRS.format(url=shlex.quote(url))])
            ended = await shell.run(line, within=_WITHIN_SECONDS)
        if ended.status != 0:
            raise RuntimeError(ended.stderr)
        return time.perf_counter() - begun

    return asyncio.run(session())


@contextmanager
def _rescue(scratch: Path) -> Iterator[tuple[Login, str]]:
    """Yield the way into a server in its rescue system and the URL of the objects, served by another process."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    public = key.export_public_key().decode()
    secrets = Secrets(_SERVER_ID, new_nonce())
    server = processes.Process(target=_serve, args=(scratch, public, secrets, theirs))
    server.start()
    try:
        port, url = ours.recv()
        yield Login(_ADDRESS, port, key, secrets), url
    finally:
        ours.send(None)
        server.join()


def _serve(scratch: Path, public_key: str, secrets: Secrets, door: Connection) -> None:
    authority = Authority(scratch / "authority")
    objects = ObjectServer(scratch / "objects", Trace(scratch / "trace.jsonl"), authority)
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        host = _Host(Path(place), authority, public_key, secrets)
        with running(objects, host):
            door.send((host.rescue.port, objects.url))
            door.recv()


class _Host:
    """A rescue host with one server that is up."""

    def __init__(self, directory: Path, authority: Authority, public_key: str, secrets: Secrets) -> None:
        self.rescue = RescueHost(bundle=authority.bundle_file)
        self._directory = directory
        self._key = public_key
        self._secrets = secrets

    async def start(self) -> None:
        disk = self._directory / "disk"
        create_dirty_disk(disk, SERVER_DISK_BYTES)
        self.rescue.prepare(self._directory, Trace(self._directory / "trace.jsonl"))

        async def power_down(word: str) -> None:
            raise AssertionError(word)

        await self.rescue.boot(
            _SERVER_ID,
            address=_ADDRESS,
            hostname="rescue",
            disk=disk,
            keys=[self._key],
            power_down=power_down,
            user_data=user_data_with(self._secrets.nonce),
        )

    async def stop(self) -> None:
        await self.rescue.stop()
