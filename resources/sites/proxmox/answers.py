"""What Proxmox VE answers, as far as a seed reads it: parsed at the border, frozen inside. Other keys are ignored.

A body is the API's JSON, nothing at all, or a page of something in front of it. It is empty where a call did not
reach its handler (a refused token, a daemon that restarts, the parser of uploads: pve-http-server, AnyEvent.pm);
proxmoxer hands such a body on as bytes in the place of a mapping.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import requests
from pydantic import BaseModel, ConfigDict, Field

from hyops_assets.contract.foreign_json import parsed_json

_UPID = re.compile(
    r"UPID:(?P<node>[^:\s]+):[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:(?P<type>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)


class Answer(BaseModel):
    """Base of parsed answers: a later Proxmox may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Node(Answer):
    """A node of the cluster."""

    node: str
    status: str


class StorageStatus(Answer):
    """A storage as one node sees it. `type` is the plugin: dir, lvmthin, zfspool, rbd."""

    type: str
    content: str
    active: bool = False
    enabled: bool = False
    shared: bool = False
    avail: int | None = None

    @property
    def contents(self) -> frozenset[str]:
        """What the storage is configured to hold."""
        return frozenset(self.content.split(","))


class Volume(Answer):
    """A volume on a storage. `size` is in bytes as a guest sees it."""

    volid: str
    size: int = 0
    parent: str | None = None


class Bridge(Answer):
    """A network that a machine can be attached to."""

    iface: str
    type: str


class MachineSummary(Answer):
    """A machine in a list, the cluster's or a node's.

    Attributes:
        name, template: None where it is not reported yet, which is not the same as none, and no template.
        tags: always those of the configuration.
        status: `running`, `stopped`, or `unknown` where it is not reported.
        type: `qemu`, or `lxc` for a container, which takes a VMID too.
    """

    vmid: int
    node: str
    name: str | None = None
    tags: str = ""
    lock: str | None = None
    template: bool | None = None
    status: str = "unknown"
    type: str = "qemu"

    @property
    def tag_set(self) -> frozenset[str]:
        """The tags, whatever separates them."""
        return frozenset(re.split(r"[;, ]+", self.tags)) - {""}


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_BOOTS = re.compile(r"bios|boot|machine|scsihw|args|hookscript|cicustom|(?:scsi|ide|sata|virtio|efidisk|hostpci)\d+")
"""Keys that decide what a machine boots from and with; its size, networks and notes are its owner's."""


class MachineConfig(Answer):
    """A machine's configuration. A machine under creation has nothing but `lock`."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    digest: str
    name: str | None = None
    description: str | None = None
    tags: str = ""
    lock: str | None = None
    template: bool = False
    protection: bool = False
    disk: str | None = Field(default=None, alias="scsi0")

    @property
    def volid(self) -> str | None:
        """The volume of the disk, without its options."""
        return self.disk.partition(",")[0] if self.disk else None

    @property
    def disk_size_bytes(self) -> int | None:
        """How large the configuration says that the disk is: `size=10G`, exact to the byte; None where it does not."""
        match = re.search(r"(?:^|,)size=([0-9]{1,15})([KMGT]?)(?:,|$)", self.disk or "")
        return int(match[1]) * _UNITS[match[2]] if match else None

    @property
    def hardware(self) -> dict[str, str]:
        """What a machine boots from and with, as the configuration has it."""
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {key: str(value) for key, value in sorted(given.items()) if _BOOTS.fullmatch(key)}


class TaskStatus(Answer):
    """A worker. `exitstatus` is there once it stopped: OK, `WARNINGS: n`, or what went wrong."""

    upid: str
    status: Literal["running", "stopped"]
    exitstatus: str | None = None


class TaskSummary(Answer):
    """A worker in the node's list. `id` is what it works on: a VMID, a file name, or nothing."""

    upid: str
    type: str
    id: str = ""

    @property
    def owner(self) -> str:
        """Who started it, the token included: `svc@pve!seed`. The list's own field may leave the token out."""
        match = _UPID.fullmatch(self.upid)
        return match["user"] if match else ""


def node_of(upid: str) -> str:
    """Return the node that a worker runs on.

    Raises:
        ValueError: the text is not a UPID.
    """
    match = _UPID.fullmatch(upid)
    if match is None:
        message = f"{upid!r} is not the id of a Proxmox task"
        raise ValueError(message)
    return match["node"]


_MOST_SAID = 2000
"""Characters of a message that are repeated: Proxmox says what is wrong in its first line."""


@dataclass(frozen=True)
class ErrorBody:
    """What an error's body says.

    Attributes:
        fields: a message for every parameter that was refused.
        message: the whole text; the reason phrase has its first line.
        page: the media type of a body that is not the API's; empty where it is, or where there is none.
    """

    fields: dict[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    page: str = ""


class Unreadable(Exception):
    """An answer that says it went well, with a body that is not the API's. `page` is its media type."""

    def __init__(self, page: str) -> None:
        super().__init__(page)
        self.page = page


class Bodies:
    """Reads bodies for proxmoxer, in the place of its own serializer."""

    def get_accept_types(self) -> str:
        """Return what is asked for."""
        return "application/json"

    def loads(self, response: requests.Response) -> Any:
        """Return the payload of an answer.

        Raises:
            Unreadable: it has none.
        """
        document = _document(response)
        if document is None or "data" not in document:
            raise Unreadable(_media_type(response))
        return document["data"]

    def loads_errors(self, response: requests.Response) -> ErrorBody:
        """Return what an error says."""
        document = _document(response)
        if document is None:
            return ErrorBody(page=_media_type(response) if response.content.strip() else "")
        given, message = document.get("errors"), document.get("message")
        named: dict[object, object] = given if isinstance(given, dict) else {}
        fields = {str(name): _on_one_line(str(text)) for name, text in named.items()}
        return ErrorBody(fields=fields, message=_on_one_line(message) if isinstance(message, str) else "")


def _document(response: requests.Response) -> dict[str, Any] | None:
    try:
        document = parsed_json(response.content)
    except (UnicodeDecodeError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _on_one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_SAID]


def _media_type(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip() or "no media type"
