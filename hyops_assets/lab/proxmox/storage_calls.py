"""The calls below `/nodes/{node}/storage/{storage}`: state, content, download and upload of images for import."""

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from hyops_assets.lab.proxmox.access import Access
from hyops_assets.lab.proxmox.answers import ApiError, parameter_error, takes
from hyops_assets.lab.proxmox.call import Call, Route
from hyops_assets.lab.proxmox.inventory import Inventory
from hyops_assets.lab.proxmox.storages import Storages
from hyops_assets.lab.proxmox.workers import Log, Workers

_NOTHING = takes()
_DOWNLOAD = takes(
    "url content filename", strings="checksum checksum-algorithm compression", booleans="verify-certificates"
)
_UPLOAD = takes("content filename", strings="checksum checksum-algorithm")


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
            ("GET", f"{storage}/status", _NOTHING, self._storage_status),
            ("GET", f"{storage}/content", takes(strings="content", integers="vmid"), self._content),
            ("GET", f"{storage}/content/{{volume:.+}}", _NOTHING, self._volume),
            ("DELETE", f"{storage}/content/{{volume:.+}}", takes(integers="delay"), self._delete_volume),
            ("POST", f"{storage}/download-url", _DOWNLOAD, self._download),
            ("POST", f"{storage}/upload", _UPLOAD, self._upload),
        ]

    async def _storage_status(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        storages = self.storages[call.node]
        storage, used = storages.get(call.storage), storages.used(call.storage)
        return {
            "type": storage.type,
            "content": ",".join(sorted(storage.content)),
            "active": 1,
            "enabled": 1,
            "shared": int(storage.shared),
            "total": storage.capacity_bytes,
            "used": used,
            "avail": max(storage.capacity_bytes - used, 0),
        }

    async def _content(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        wanted, vmid = call.parameters.get("content"), call.parameters.get("vmid")
        return [
            entry
            for entry in self.storages[call.node].volumes(call.storage)
            if wanted in {None, entry["content"]} and vmid in {None, str(entry.get("vmid"))}
        ]

    async def _volume(self, call: Call) -> object:
        self.access.require(f"/storage/{call.storage}", "Datastore.Audit", "Datastore.AllocateSpace", any_of=True)
        volid = _volid(call)
        for entry in self.storages[call.node].volumes(call.storage):
            if entry["volid"] == volid:
                path = str(self.storages[call.node].path(volid))
                return {"path": path, "size": entry["size"], "used": entry["size"], "format": entry["format"]}
        raise ApiError(500, f"volume '{volid}' does not exist")

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
        self.access.require(f"/storage/{call.storage}", "Datastore.AllocateTemplate")
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
