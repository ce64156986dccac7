"""A thin client of the Proxmox VE API over proxmoxer: constant verbs, typed errors, 1 and 0 for booleans.

A call that the node surely did not take is made again while the site's patience lasts: it was not reached, a lock was
held, the cluster had no quorum. A reading call is made again as well when its answer was lost. Whether a changing one
then took effect is for the caller to look up (`AnswerLost`).
"""

import copy
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import requests
import tenacity
from proxmoxer import ProxmoxAPI
from proxmoxer.core import ResourceException
from pydantic import TypeAdapter, ValidationError

from hyops_assets.contract.errors import HyopsError
from hyops_assets.contract.progress import Progress, silent
from hyops_assets.settings.sites import ProxmoxSite
from resources.bounded_requests import BoundedAdapter
from resources.sites.proxmox.answers import (
    Bodies,
    Bridge,
    ErrorBody,
    MachineConfig,
    MachineSummary,
    Node,
    StorageStatus,
    TaskStatus,
    TaskSummary,
    Unreadable,
    Volume,
    node_of,
)
from resources.sites.proxmox.errors import (
    AnswerLost,
    MachineExists,
    NodeUnreachable,
    NoSuchObject,
    NotTheApi,
    PrivilegeMissing,
    ProxmoxError,
    SiteNotReady,
    error_for,
)
from resources.sites.proxmox.no_answer import error_without_answer, require_authority
from resources.sites.proxmox.timeouts import ProxmoxTimeouts
from resources.sites.proxmox.upload import ImageUpload

log = logging.getLogger("hyops.proxmox")

_TOKEN_ID = re.compile(r"(?P<user>[^\s:/!]+@[A-Za-z][A-Za-z0-9._-]+)!(?P<name>[A-Za-z][A-Za-z0-9._-]+)")
_WHOLE = 4
"""All of a call may take so many times as long as the node may be silent within it."""
_SECRET = re.compile(r"[!-~]+")

Method = Literal["get", "post", "put", "delete"]
Parsed = TypeVar("Parsed")
Parameter = str | int | None


class ProxmoxClient:
    """The API of one site's node. Not safe to share between threads: it holds one connection.

    Args:
        site: host, node, token id and trust.
        token: the token's secret; it leaves this object in a request header only.
        timeouts: how long to wait for what.
        ca_bundle: whom to trust where the site names no `ca_file`; None is requests' own choice.

    Raises:
        SiteNotReady: the token's id or secret cannot be one.
        NotTrusted: the site's `ca_file` holds no certificate.
    """

    def __init__(
        self,
        site: ProxmoxSite,
        token: str,
        *,
        timeouts: ProxmoxTimeouts | None = None,
        ca_bundle: Path | None = None,
    ) -> None:
        match = _TOKEN_ID.fullmatch(site.token_id)
        if match is None:
            raise SiteNotReady(
                f"token id {site.token_id!r} is not user@realm!name", hint="copy it from Datacenter, API Tokens"
            )
        if not _SECRET.fullmatch(token):
            # requests would quote the whole header, secret and all, in its complaint about a line break.
            raise SiteNotReady(
                f"the secret in ${site.token_env} is empty or has white space in it",
                hint=f"set {site.token_env} to the token's value, without a line break",
            )
        if site.ca_file is not None:
            require_authority(site.ca_file)
        self.site = site
        self.token_id = site.token_id
        trust = site.ca_file or ca_bundle
        self.timeouts = timeouts or ProxmoxTimeouts()
        self._api: Any = ProxmoxAPI(
            site.host,
            port=site.port,
            user=match["user"],
            token_name=match["name"],
            token_value=token,
            verify_ssl=str(trust) if trust else True,
            timeout=self.timeouts.request,
        )
        # The library takes neither; a test holds that this is where it keeps its own.
        self._api._store["serializer"] = Bodies()
        self._api._store["session"].mount("https://", BoundedAdapter(_WHOLE * self.timeouts.request))

    def __repr__(self) -> str:
        return f"ProxmoxClient({self.site.host}:{self.site.port}, {self.token_id})"

    def at(self, site: ProxmoxSite) -> "ProxmoxClient":
        """Return this client for another site of the same node, such as one with another storage; one connection."""
        other = copy.copy(self)
        other.site = site
        return other

    def patiently(self, passes: type[Exception] = NodeUnreachable) -> tenacity.Retrying:
        """Return what does something again for as long as an outage may last, where it fails with what passes."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(passes),
            stop=tenacity.stop_after_delay(self.timeouts.outage),
            wait=tenacity.wait_exponential(multiplier=self.timeouts.retry, max=10),
            reraise=True,
        )

    def get_version(self) -> str:
        """Return the version of Proxmox VE, such as `9.1.11`."""
        return str(self._read(dict[str, Any], "version")["version"])

    def list_nodes(self) -> list[Node]:
        """List the cluster's nodes."""
        return self._read(list[Node], "nodes")

    def list_privileges(self, path: str) -> frozenset[str]:
        """Return the token's own effective privileges at a path such as `/storage/local`."""
        granted = self._read(dict[str, dict[str, int]], "access", "permissions", path=path)
        return frozenset(granted.get(path, {}))

    def get_storage(self, storage: str, *, node: str | None = None) -> StorageStatus:
        """Return a storage's state on a node; the site's where none is named."""
        return self._read(StorageStatus, *self._node("storage", storage, "status", node=node))

    def list_bridges(self) -> list[Bridge]:
        """List the networks that a machine on the node can be attached to."""
        return self._read(list[Bridge], *self._node("network"), type="any_bridge")

    def list_machines(self) -> list[MachineSummary]:
        """List every machine of the cluster that the token may see, containers included.

        Names and template flags are what the nodes' pvestatd said last: ten seconds old, missing for what is newer,
        and for all of a node whose pvestatd hangs. `list_node_machines` knows them.
        """
        return self._read(list[MachineSummary], "cluster", "resources", type="vm")

    def list_node_machines(self, node: str | None = None) -> list[MachineSummary]:
        """List the machines of a node that the token may see, as their configurations are now."""
        node = node or self.site.node
        found = self._read(list[dict[str, Any]], *self._node("qemu", node=node))
        return [MachineSummary.model_validate({"node": node, "template": 0, **entry}) for entry in found]

    def is_free(self, vmid: int) -> bool:
        """Whether a VMID is unused in the whole cluster, machines that the token may not see included."""
        try:
            self._read(int, "cluster", "nextid", vmid=vmid)
        except MachineExists:
            return False
        return True

    def get_config(self, vmid: int, *, node: str | None = None) -> MachineConfig:
        """Return a machine's configuration, on the site's node where none is named.

        Raises:
            NoSuchObject: there is no such machine on the node.
            PrivilegeMissing: there is one, and the token may not see it.
        """
        try:
            return self._read(MachineConfig, *self._node("qemu", vmid, "config", node=node))
        except PrivilegeMissing as error:
            # With rights on a pool alone, a machine is out of sight as soon as it is gone.
            if self.is_free(vmid):
                raise NoSuchObject(f"GET VMID {vmid}", 403, "there is none", hint="list what the node has") from error
            raise

    def list_volumes(
        self, storage: str, content: Literal["images", "import"], *, node: str | None = None
    ) -> list[Volume]:
        """List the volumes of one kind of content that a node sees on a storage, as far as the token may see them."""
        return self._read(list[Volume], *self._node("storage", storage, "content", node=node), content=content)

    def find_volume(self, volid: str, *, node: str | None = None) -> Volume | None:
        """Return a volume by its id, whether or not a listing shows it yet; None where there is none.

        Raises:
            PrivilegeMissing: the token may not look at it.
        """
        storage = volid.partition(":")[0]
        try:
            found = self._read(dict[str, Any], *self._node("storage", storage, "content", volid, node=node))
        except (PrivilegeMissing, NodeUnreachable):
            raise
        except ProxmoxError:
            return None
        return Volume.model_validate({"volid": volid, **found})

    def list_tasks(
        self, *, source: Literal["active", "all"], kind: str | None = None, vmid: int | None = None
    ) -> list[TaskSummary]:
        """List workers that this token started, newest first."""
        found = self._read(
            list[TaskSummary], *self._node("tasks"), source=source, typefilter=kind, vmid=vmid, limit=500
        )
        return [task for task in found if task.owner == self.token_id]

    def get_task(self, node: str, upid: str) -> TaskStatus:
        """Return a worker's state. Raises NoSuchObject right after its start, for a moment."""
        return self._read(TaskStatus, "nodes", node, "tasks", upid, "status")

    def list_task_log(self, node: str, upid: str, *, limit: int = 500) -> list[str]:
        """Return the first lines of a worker's log."""
        lines = self._read(list[dict[str, Any]], "nodes", node, "tasks", upid, "log", limit=limit)
        return [str(line.get("t", "")) for line in lines]

    def create_download(self, storage: str, *, url: str, file_name: str, sha256: str) -> str:
        """Let the node fetch an image for import and return the task's UPID. Harmless where the file is there."""
        return self._change(
            "post",
            *self._node("storage", storage, "download-url"),
            content="import",
            filename=file_name,
            url=url,
            checksum=sha256,
            **{"checksum-algorithm": "sha256", "verify-certificates": 1},
        )

    def create_upload(
        self, storage: str, *, path: Path, file_name: str, sha256: str, progress: Progress = silent
    ) -> str:
        """Send an image for import from this host and return the UPID of the node's check. It replaces a file."""
        return self.patiently()(
            self._upload, self._node("storage", storage, "upload"), path, file_name, sha256, progress
        )

    def _upload(self, to: tuple[str | int, ...], path: Path, file_name: str, sha256: str, progress: Progress) -> str:
        """Send an image once. The fields stand in the order in which Proxmox' parser takes them; the file comes last.

        pve-http-server, AnyEvent.pm, `file_upload_multipart`: content, checksum-algorithm, checksum, filename.
        """
        with ImageUpload(path, file_name, progress) as image:
            form: dict[str, Any] = {"content": "import", "checksum-algorithm": "sha256", "checksum": sha256}
            return self._upid("post", to, self._call("post", to, form | {"filename": image}))

    def create_machine(self, vmid: int, **options: Parameter) -> str:
        """Create a machine and return the task's UPID.

        Raises:
            MachineExists: the VMID is taken.
        """
        log.info("creating machine %d on node %s", vmid, self.site.node)
        return self._change("post", *self._node("qemu"), vmid=vmid, **options)

    def create_template(self, vmid: int, *, disk: str | None = None) -> str:
        """Convert a machine to a template and return the task's UPID.

        `disk` completes a conversion that ended after the flag was set.
        """
        return self._change("post", *self._node("qemu", vmid, "template"), disk=disk)

    def create_clone(self, vmid: int, newid: int, **options: Parameter) -> str:
        """Clone a machine and return the task's UPID."""
        return self._change("post", *self._node("qemu", vmid, "clone"), newid=newid, **options)

    def ensure_config(self, vmid: int, **options: Parameter) -> None:
        """Set configuration keys of a machine, at once."""
        self.patiently()(self._call, "put", self._node("qemu", vmid, "config"), options)

    def start_machine(self, vmid: int) -> str:
        """Start a machine and return the task's UPID."""
        return self._change("post", *self._node("qemu", vmid, "status", "start"))

    def stop_machine(self, vmid: int) -> str:
        """Stop a machine hard and return the task's UPID."""
        return self._change("post", *self._node("qemu", vmid, "status", "stop"))

    def ask_agent(self, vmid: int) -> bool:
        """Whether the agent in a running guest answers."""
        try:
            self._call("post", self._node("qemu", vmid, "agent", "ping"), {})
        except ProxmoxError as error:
            if "agent" in error.reason:
                return False
            raise
        return True

    def delete_machine(self, vmid: int) -> str:
        """Remove a machine with all its disks and return the task's UPID."""
        log.info("destroying machine %d on node %s", vmid, self.site.node)
        return self._change("delete", *self._node("qemu", vmid), purge=1, **{"destroy-unreferenced-disks": 1})

    def _node(self, *components: str | int, node: str | None = None) -> tuple[str | int, ...]:
        return ("nodes", node or self.site.node, *components)

    def _read(self, shape: type[Parsed], *path: str | int, **parameters: Parameter) -> Parsed:
        """Get and parse. `shape` may be a model or a builtin of models."""
        answer = self.patiently()(self._call, "get", path, parameters)
        try:
            return TypeAdapter(shape).validate_python(answer)
        except ValidationError as error:
            raise self._not_the_api(f"GET /{'/'.join(map(str, path))}", "another program's JSON") from error

    def _change(self, method: Method, *path: str | int, **parameters: Any) -> str:
        """Ask for a change that a worker makes, and return its UPID."""
        return self._upid(method, path, self.patiently()(self._call, method, path, parameters))

    def _upid(self, method: Method, path: tuple[str | int, ...], answer: object) -> str:
        upid = str(answer)
        try:
            node_of(upid)
        except ValueError as error:
            raise self._not_the_api(f"{method.upper()} /{'/'.join(map(str, path))}", "no task's id") from error
        log.info("%s %s: %s", method, "/".join(map(str, path)), upid)
        return upid

    def _call(self, method: Method, path: tuple[str | int, ...], parameters: dict[str, Any]) -> Any:
        resource = self._api([str(component) for component in path])
        send: Callable[..., Any] = getattr(resource, method)
        call, changing = f"{method.upper()} /{'/'.join(map(str, path))}", method != "get"
        try:
            return send(**{name: value for name, value in parameters.items() if value is not None})
        except ResourceException as error:
            raise self._refusal(call, error, changing=changing) from error
        except Unreadable as error:
            raise self._not_the_api(call, error.page) from error
        except requests.RequestException as error:
            raise error_without_answer(call, f"{self.site.host}:{self.site.port}", error, changing=changing) from error

    def _refusal(self, call: str, error: ResourceException, *, changing: bool) -> HyopsError:
        status, reason = error.status_code, str(error.content).strip()
        said = error.errors if isinstance(error.errors, ErrorBody) else ErrorBody()
        if not said.page or status in {502, 503, 504}:
            return error_for(call, status, said.message or reason, said.fields, changing=changing)
        if status < 500:
            return self._not_the_api(call, f"{said.page}, status {status}")
        text = f"{call}: {status} {reason}, and a page of something in front of the API"
        if changing:
            return AnswerLost(text, hint="look whether it took effect, then try again")
        return NodeUnreachable(text, hint="look at the proxy in front of the node, and try again")

    def _not_the_api(self, call: str, what: str) -> NotTheApi:
        return NotTheApi(
            f"{call}: {self.site.host}:{self.site.port} answers with {what}, not as Proxmox' API",
            hint="correct the site's host and port; if a proxy stands in front, let it pass /api2/json on unchanged",
        )
