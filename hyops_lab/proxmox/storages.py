"""Storages of the node: `local`, a directory that takes images for import, `local-lvm`, thin volumes, `ceph`, RBD.

A volume is a file. What Proxmox keeps in metadata is read from the file itself: its owner from the name, its parent
from the backing file. The plugins differ as pve-storage's do: a linked clone on LVM-thin is a snapshot of its own that
knows no parent (LvmThinPlugin.pm, `clone_image` and `parse_volname`), one on RBD names its base in its id
(RBDPlugin.pm, `list_images`).
"""

import re
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from hyops_lab.faults import FaultTable, kill_at, killing_as_it_grows
from hyops_lab.proxmox.answers import ApiError, parameter_error
from hyops_lab.proxmox.images import image_info, run, sha256_of, write_stream
from hyops_lab.proxmox.workers import Log

EXTENT_BYTES = 4 << 20
"""LVM allocates whole extents; 4 MiB is its default (lvm.conf(5))."""

_VOLUME = re.compile(r"(?:base-\d+-disk-\d+/)?(?P<name>(?P<kind>vm|base)-(?P<vmid>\d+)-(?P<what>disk-\d+|cloudinit))")
_IMPORTABLE = re.compile(r"[a-zA-Z0-9_.-]+\.(qcow2|raw|vmdk)")
_QCOW2_MAGIC = b"QFI\xfb"
_CHUNK_BYTES = 1 << 20


def is_base(volid: str) -> bool:
    """Whether a volume is the disk of a template, by its own name; a clone's may begin with that of its base."""
    return volid.partition(":")[2].rpartition("/")[2].startswith("base-")


@dataclass(frozen=True)
class Storage:
    """One storage as a node sees it.

    Attributes:
        type: its plugin: `dir`, `lvmthin`, `rbd`.
        content: what it is configured for.
        directory: where its files are.
        shared: whether every node sees the same volumes.
        enabled: whether it is not switched off in the datacenter.
    """

    name: str
    type: str
    content: frozenset[str]
    directory: Path
    shared: bool = False
    capacity_bytes: int = 1 << 40
    enabled: bool = True

    @property
    def file_based(self) -> bool:
        """Whether the plugin keeps files by path: only then does it take uploads."""
        return self.type == "dir"

    @property
    def has_bases(self) -> bool:
        """Whether the plugin knows base volumes: plain LVM does not, and clones in full only."""
        return self.type != "lvm"

    def taken(self, volume: str) -> ApiError:
        """Return what allocating a volume under a name that is taken ends with: the words of the plugin's own tool."""
        if self.type == "rbd":
            return ApiError(500, f"rbd create '{volume}' error: rbd: create error: (17) File exists")
        there = f'Logical Volume "{volume}" already exists in volume group "pve"'
        return ApiError(500, f"lvcreate 'pve/{volume}' error:   {there}")


class Storages:
    """The storages of one node: its own below `directory`, those that all nodes share below `shared`.

    An import is a call `IMPORT <volid>` to the faults: Kill alone.
    """

    def __init__(self, directory: Path, shared: Path, client_context: ssl.SSLContext, faults: FaultTable) -> None:
        self._context = client_context
        self._faults = faults
        self.late: dict[str, int] = {}
        """How many more times a storage shows none of its volumes, for tests: a shared one that is behind."""
        self.all = {
            "local": Storage("local", "dir", frozenset({"iso", "vztmpl", "backup", "import"}), directory / "local"),
            "local-lvm": Storage("local-lvm", "lvmthin", frozenset({"images", "rootdir"}), directory / "local-lvm"),
            "ceph": Storage("ceph", "rbd", frozenset({"images", "rootdir"}), shared / "ceph", shared=True),
        }
        for storage in self.all.values():
            storage.directory.mkdir(parents=True, exist_ok=True)
        (directory / "local" / "import").mkdir(exist_ok=True)

    def configure(
        self,
        name: str,
        content: set[str] | None = None,
        *,
        plugin: str | None = None,
        capacity_bytes: int | None = None,
        enabled: bool | None = None,
    ) -> None:
        """Change what a storage is configured for, as in Datacenter, Storage, Edit, Content; or what it is."""
        was = self.all[name]
        self.all[name] = replace(
            was,
            content=was.content if content is None else frozenset(content),
            type=plugin or was.type,
            capacity_bytes=was.capacity_bytes if capacity_bytes is None else capacity_bytes,
            enabled=was.enabled if enabled is None else enabled,
        )

    def used(self, name: str) -> int:
        """Return how many bytes a storage's volumes are counted with."""
        return sum(int(entry["size"]) for entry in self.volumes(name))

    def get(self, name: str) -> Storage:
        """Return a storage. Raises ApiError where there is none."""
        if name not in self.all:
            raise ApiError(500, f"storage '{name}' does not exist")
        return self.all[name]

    def enabled(self, name: str) -> Storage:
        """Return a storage that is not switched off (Storage.pm, `storage_check_enabled`)."""
        storage = self.get(name)
        if not storage.enabled:
            raise ApiError(500, f"storage '{name}' is disabled")
        return storage

    def path(self, volid: str) -> Path:
        """Return the file of a volume, whether or not it exists. Raises ApiError where the volid is not one."""
        name, colon, rest = volid.partition(":")
        if not colon or not (_VOLUME.fullmatch(rest) or re.fullmatch(rf"import/{_IMPORTABLE.pattern}", rest)):
            raise parameter_error(volume=f"unable to parse volume ID '{volid}'")
        match = _VOLUME.fullmatch(rest)
        return self.get(name).directory / (match["name"] if match else rest)

    def owner(self, volid: str) -> int | None:
        """Return the VMID that a volume belongs to; None for an image that is there to be imported."""
        match = _VOLUME.fullmatch(volid.partition(":")[2])
        return int(match["vmid"]) if match else None

    def volumes(self, name: str) -> list[dict[str, str | int]]:
        """List a storage's volumes as `GET …/content` shows them."""
        storage = self.get(name)
        if storage.file_based:
            found = [
                file for file in sorted((storage.directory / "import").iterdir()) if file.suffix in {".qcow2", ".raw"}
            ]
            return [
                {
                    "volid": f"{name}:import/{file.name}",
                    "content": "import",
                    "format": file.suffix[1:],
                    "size": file.stat().st_size,
                    "ctime": int(file.stat().st_ctime),
                }
                for file in found
            ]
        return [self._volume(storage, file) for file in sorted(storage.directory.iterdir())]

    def allocate(self, name: str, vmid: int, size_bytes: int, *, cloudinit: bool = False) -> str:
        """Create an empty volume of at least so many bytes and return its volid.

        A disk gets the next free number; a cloud-init volume has one name only, which may be taken by one that a
        killed machine left (API2/Qemu.pm, `create_disks`).
        """
        storage = self.enabled(name)
        extents = -(-size_bytes // EXTENT_BYTES)
        if self.used(name) + extents * EXTENT_BYTES > storage.capacity_bytes:
            raise ApiError(500, f"storage '{name}': insufficient free space: {extents} extents are required")
        file = storage.directory / (f"vm-{vmid}-cloudinit" if cloudinit else self._next_disk(storage, vmid))
        if file.exists():
            raise storage.taken(file.name)
        with file.open("wb") as volume:
            volume.truncate(extents * EXTENT_BYTES)
        return f"{name}:{file.name}"

    def _next_disk(self, storage: Storage, vmid: int) -> str:
        number = 0
        while any((storage.directory / f"{kind}-{vmid}-disk-{number}").exists() for kind in ("vm", "base")):
            number += 1
        return f"vm-{vmid}-disk-{number}"

    async def import_image(self, source: Path, volid: str) -> None:
        """Write an image's guest-visible bytes onto an empty volume."""
        fault, target = self._faults.due("IMPORT", volid), self.path(volid)
        kill_at(fault, "before")
        form = str((await image_info(source))["format"])
        async with killing_as_it_grows(fault, target):
            await run("qemu-img", "convert", "-n", "--target-is-zero", "-f", form, "-O", "raw", source, target)
        kill_at(fault, "after")

    async def virtual_size(self, source: Path) -> int:
        """Return how many bytes a guest sees in an image."""
        return int(str((await image_info(source))["virtual-size"]))

    def is_late(self, name: str) -> bool:
        """Whether a storage does not show its volumes this time."""
        left = self.late.get(name, 0)
        self.late[name] = max(left - 1, 0)
        return left > 0

    def is_qcow2(self, path: Path) -> bool:
        """Whether a volume is a linked clone: those alone are qcow2 here."""
        with path.open("rb") as volume:
            return volume.read(4) == _QCOW2_MAGIC

    def to_base(self, volid: str) -> str:
        """Rename a volume to a base volume and return its new volid."""
        base = volid.replace(":vm-", ":base-")
        self.path(volid).rename(self.path(base))
        return base

    async def link(self, base: str, vmid: int) -> str:
        """Create a volume that reads from a base volume; on LVM-thin, a snapshot of its own."""
        name, _, volume = base.partition(":")
        storage = self.enabled(name)
        volid = f"{name}:{self._next_disk(storage, vmid)}"
        if storage.type == "lvmthin":
            await run("cp", "--sparse=always", "--reflink=auto", self.path(base), self.path(volid))
            return volid
        await run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", self.path(base), self.path(volid))
        return f"{name}:{volume}/{volid.partition(':')[2]}"

    def linked_to(self, base: str) -> list[str]:
        """Return the volumes that name a base volume in their id (Storage.pm, `volume_is_base_and_used`)."""
        name = base.partition(":")[0]
        return [str(entry["volid"]) for entry in self.volumes(name) if str(entry["volid"]).startswith(f"{base}/")]

    def free(self, volid: str) -> None:
        """Remove a volume, if it is there."""
        self.path(volid).unlink(missing_ok=True)

    def owned_by(self, vmid: int) -> list[str]:
        """Return every volume whose name says that it belongs to a VMID."""
        thin = [name for name, storage in self.all.items() if not storage.file_based]
        return [str(entry["volid"]) for name in thin for entry in self.volumes(name) if entry["vmid"] == vmid]

    def import_target(self, name: str, filename: str) -> Path:
        """Return where an image for import is put: the file name is normalised first.

        Raises:
            ApiError: the storage takes no such content, or the name is not that of an image.
        """
        storage = self.enabled(name)
        if not storage.file_based:
            raise ApiError(500, f"can't upload to storage type '{storage.type}', not a file based storage!")
        if "import" not in storage.content:
            raise ApiError(500, f"storage '{name}' is not configured for content-type 'import'")
        filename = re.sub(r"[^a-zA-Z0-9_.-]", "_", filename.rsplit("/", 1)[-1])
        if not _IMPORTABLE.fullmatch(filename):
            raise parameter_error(filename="invalid filename or wrong extension")
        return storage.directory / "import" / filename

    async def download(self, url: str, target: Path, sha256: str | None, log: Log) -> None:
        """Fetch an image as `download-url` does: what is there and right is kept, what is wrong is never touched."""
        log(f"downloading {url} to {target.name}")
        if target.exists():
            if sha256 is None:
                raise ApiError(500, f"refusing to override existing file '{target.name}'")
            got = await sha256_of(target)
            if got != sha256:
                raise ApiError(500, f"checksum mismatch: got '{got}' != expect '{sha256}', aborting")
            log("OK, got correct file already, no need to download")
            return
        partial = target.with_name(f"{target.name}.tmp_dwnl.{id(log)}")
        try:
            timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.get(url, ssl=self._context) as answer,
            ):
                if answer.status != 200:
                    raise ApiError(500, f"download failed: HTTP {answer.status} {answer.reason}")
                await write_stream(partial, answer.content.iter_chunked(_CHUNK_BYTES))
            await self.require_image(partial, target.suffix, sha256, log)
            partial.rename(target)
        except aiohttp.ClientError as error:
            raise ApiError(500, f"download failed: {error}") from error
        finally:
            partial.unlink(missing_ok=True)

    async def require_image(self, path: Path, suffix: str, sha256: str | None, log: Log) -> None:
        """Refuse a file with another checksum, or one that is not a self-contained image of its extension."""
        if sha256 is not None:
            log("calculating checksum...")
            got = await sha256_of(path)
            if got != sha256:
                raise ApiError(500, f"checksum mismatch: got '{got}' != expect '{sha256}'")
            log("OK, checksum verified")
        info = await image_info(path)
        if info["format"] != suffix[1:]:
            raise ApiError(500, f"format '{info['format']}' does not match the extension '{suffix}'")
        if "backing-filename" in info or "data-file" in str(info.get("format-specific", "")):
            raise ApiError(500, "image refers to another file")

    def _volume(self, storage: Storage, file: Path) -> dict[str, str | int]:
        match = _VOLUME.fullmatch(file.name)
        vmid = int(match["vmid"]) if match else 0
        entry: dict[str, str | int] = {
            "volid": f"{storage.name}:{file.name}",
            "content": "images",
            "format": "raw",
            "vmid": vmid,
            "size": file.stat().st_size,
            "ctime": int(file.stat().st_ctime),
        }
        with file.open("rb") as volume:
            head = volume.read(24)
            if head.startswith(_QCOW2_MAGIC):
                # QEMU docs/interop/qcow2: backing file offset (8 bytes) and length (4 bytes) follow the version.
                offset, length = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
                volume.seek(offset)
                parent = Path(volume.read(length).decode())
                size = parent.stat().st_size if parent.exists() else 0
                entry |= {"volid": f"{storage.name}:{parent.name}/{file.name}", "parent": f"{parent.name}@__base__"}
                entry["size"] = size
        return entry
