"""The calls below `/nodes/{node}/storage/{storage}`: state, content, download and upload of images for import."""

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from hyops_lab.proxmox.access import Access
from hyops_lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_lab.proxmox.call import Call, Route
from hyops_lab.proxmox.disks import require_volume
from hyops_lab.proxmox.inventory import Inventory
from hyops_lab.proxmox.storages import Storages
from hyops_lab.proxmox.workers import Log, Workers

_NOTHING = takes()
_DOWNLOAD = takes(
    "url content filename", strings="checksum checksum-algorithm compression", booleans="verify-certificates"
)
_LIST = takes(strings="content storage target", booleans="enabled format")
_UPLOAD = takes("content filename", strings="checksum checksum-algorithm")


_READERS = ("Datastore.Audit", "Datastore.AllocateSpace")


@dataclass
class StorageCalls:
    """The calls to the nodes' storages."""

    access: Access
    inventory: Inventory
    storages: Mapping[str, Storages]
    workers: Workers

    def routes(self) -> list[Route]:
        """Return method, path, parameters and handler of every call."""
        storage = "/nodes/{node}/storage/{storage}"
        return [
            ("GET", "/storage", takes(strings="type"), self._configured),
            ("GET", "/nodes/{node}/storage", _LIST, self._storages),
            ("GET", f"{storage}/status", _NOTHING, self._storage_status),
            ("GET", f"{storage}/content", takes(strings="content", integers="vmid"), self._content),
            ("GET", f"{storage}/content/{{volume:.+}}", _NOTHING, self._volume),
            ("DELETE", f"{storage}/content/{{volume:.+}}", takes(integers="delay"), self._delete_volume),
            ("POST", f"{storage}/download-url", _DOWNLOAD, self._download),
            ("POST", f"{storage}/upload", _UPLOAD, self._upload),
        ]

    def resources(self) -> list[dict[str, object]]:
        """Return the storages' entries in the cluster's list of resources."""
        return [
            {
                "id": f"storage/{node}/{name}",
                "type": "storage",
                "storage": name,
                "node": node,
                "status": "available",
                "content": ",".join(sorted(storage.content)),
                "plugintype": storage.type,
                "shared": int(storage.shared),
            }
            for node, storages in self.storages.items()
            for name, storage in storages.all.items()
            if storage.enabled and self.access.has(f"/storage/{name}", "Datastore.Audit")
        ]

    async def _configured(self, _call: Call) -> object:
        return [
            {
                "storage": name,
                "type": storage.type,
                "content": ",".join(sorted(storage.content)),
                "shared": int(storage.shared),
            }
            for name, storage in self.storages[self.inventory.node].all.items()
            if self.access.has_any(f"/storage/{name}", *_READERS)
        ]

    async def _storages(self, call: Call) -> object:
        given, storages = call.parameters, self.storages[call.node]
        return [
            {"storage": name, **self._state(storages, name)}
            for name, storage in storages.all.items()
            if self.access.has_any(f"/storage/{name}", *_READERS)
            and given.get("storage") in {None, name}
            and set(given.get("content", "").split(",")) - {""} <= storage.content
        ]

    def _state(self, storages: Storages, name: str) -> dict[str, object]:
        storage = storages.get(name)
        used = storages.used(name) if storage.enabled else 0
        total = storage.capacity_bytes if storage.enabled else 0
        return {
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "active": int(storage.enabled),
            "enabled": int(storage.enabled),
            "shared": int(storage.shared),
            "total": total,
            "used": used,
            "avail": max(total - used, 0),
        }

    async def _storage_status(self, call: Call) -> object:
        self._require_reader(call)
        if call.storage not in self.storages[call.node].all:
            raise parameter_error(storage="No such storage.")
        return self._state(self.storages[call.node], call.storage)

    async def _content(self, call: Call) -> object:
        """List the volumes that the token may read, each by the rights on its owner: others are left out silently.

        pve-storage, API2/Storage/Content.pm, `index`. A content that the storage is not for has no volumes.
        """
        self._require_reader(call)
        storages, wanted, vmid = self.storages[call.node], call.parameters.get("content"), call.parameters.get("vmid")
        content = storages.enabled(call.storage).content
        if storages.is_late(call.storage):
            return []
        return [
            entry
            for entry in storages.volumes(call.storage)
            if wanted in {None, entry["content"]}
            and vmid in {None, str(entry.get("vmid"))}
            and entry["content"] in content
            and self._readable(storages, str(entry["volid"]))
        ]

    def _readable(self, storages: Storages, volid: str) -> bool:
        try:
            require_volume(self.access, storages, volid)
        except ApiError:
            return False
        return True

    async def _volume(self, call: Call) -> object:
        volid, storages = _volid(call), self.storages[call.node]
        require_volume(self.access, storages, volid)
        for entry in [] if storages.is_late(call.storage) else storages.volumes(call.storage):
            if entry["volid"] == volid:
                path = str(storages.path(volid))
                return {"path": path, "size": entry["size"], "used": entry["size"], "format": entry["format"]}
        raise ApiError(500, f"can't get size of '{volid}'")

    def _require_reader(self, call: Call) -> None:
        """Refuse a storage that the token may not look at, whether or not there is one of this name."""
        self.access.require(f"/storage/{call.storage}", *_READERS, any_of=True)

    async def _delete_volume(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Allocate")
        volid = _volid(call)

        async def work(log: Log) -> None:
            self.storages[call.node].free(volid)
            log(f"Removed volume '{volid}'")

        return self.workers.fork("imgdel", _subject(volid), self.access.token_id, work, node=call.node)

    async def _download(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.AllocateTemplate")
        if "Sys.AccessNetwork" not in self.access.effective(f"/nodes/{call.node}"):
            self.access.require("/", "Sys.Audit", "Sys.Modify")
        given = call.parameters
        if not re.match(r"https?://.*", given["url"]):
            raise parameter_error(url="value does not match the regex pattern")
        sha256 = _checksum(given)
        target = self.storages[call.node].import_target(call.storage, given["filename"])

        async def work(log: Log) -> None:
            if "compression" in given:
                raise ApiError(500, "decompression not supported for import")
            await self.storages[call.node].download(given["url"], target, sha256, log)

        return self.workers.fork("download", _subject(target.name), self.access.token_id, work, node=call.node)

    async def _upload(self, call: Call) -> object:
        spooled, sha256 = call.upload, _checksum(call.parameters)
        if spooled is None:
            raise ApiError(500, "missing temporary file name")
        target = self.storages[call.node].import_target(call.storage, call.parameters["filename"])
        # The API takes the spooled file over; the worker removes it, whatever happens.
        held = spooled.rename(spooled.with_suffix(".taken"))

        async def work(log: Log) -> None:
            try:
                log(f"starting file import from: {held.name}")
                await self.storages[call.node].require_image(held, target.suffix, sha256, log)
                held.replace(target)
                log("finished file import successfully")
            finally:
                held.unlink(missing_ok=True)

        return self.workers.fork("imgcopy", "", self.access.token_id, work, node=call.node)


def _volid(call: Call) -> str:
    volume = call.path["volume"]
    return volume if volume.startswith(f"{call.storage}:") else f"{call.storage}:{volume}"


def _checksum(given: dict[str, str]) -> str | None:
    """Return the expected SHA-256. Each of the two parameters requires the other."""
    algorithm, checksum = given.get("checksum-algorithm"), given.get("checksum")
    if (algorithm is None) != (checksum is None):
        raise parameter_error(checksum="missing property 'checksum-algorithm'")
    if algorithm not in {None, "sha256"}:
        raise parameter_error(checksum_algorithm="this stand-in knows sha256 only")
    if given["content"] != "import":
        raise parameter_error(content="this stand-in takes images for import only")
    return checksum.lower() if checksum else None


def _subject(text: str) -> str:
    """Return a worker's subject as it stands in a UPID, where a colon would end it."""
    return urllib.parse.quote(text, safe="")
