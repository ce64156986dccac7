"""Servers: `/servers` and its actions. https://docs.hetzner.cloud/reference/cloud#servers."""

import re
import secrets
from typing import Any

from aiohttp import web

from hyops_lab.hetzner.answers import PRETEND, ApiError, body_of, invalid, not_found, page_of
from hyops_lab.hetzner.catalogue import LOCATIONS, SERVER_TYPES
from hyops_lab.hetzner.parameters import actions_of, announce, get, labels_of, selected, text
from hyops_lab.hetzner.project import Image, Key, Project, Server, Task, by_name
from hyops_lab.hetzner.views import image_view, server_view, task_view
from hyops_lab.hetzner.work import Worker

_MOST_USER_DATA = 32 << 10
"""Bytes, by the published schema."""
_HOST_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
MOVES = {"poweron": "start_server", "poweroff": "stop_server", "shutdown": "shutdown_server", "reset": "reset_server"}
"""The actions that change whether a server runs, by the last part of their path."""


class ServerCalls:
    """The handlers of servers.

    Attributes:
        sold_out: (server type, location) pairs that are not on offer.
        snapshot_limit: snapshots the customer may have.
        server_limit: servers the customer may have.
    """

    def __init__(self, project: Project, worker: Worker, *, snapshot_limit: int, server_limit: int) -> None:
        self._project = project
        self._worker = worker
        self.snapshot_limit = snapshot_limit
        self.server_limit = server_limit
        self.sold_out: set[tuple[str, str]] = set()

    async def list_server_actions(self, request: web.Request) -> web.Response:
        """GET /servers/{id}/actions."""
        return actions_of(self._project, "server", get(self._project.contents.servers, request, "server").id, request)

    async def list_servers(self, request: web.Request) -> web.Response:
        """GET /servers."""
        servers = selected(request, self._project.contents.servers)
        return page_of(request, "servers", [server_view(self._project, server) for server in servers])

    async def get_server(self, request: web.Request) -> web.Response:
        """GET /servers/{id}."""
        server = get(self._project.contents.servers, request, "server")
        return web.json_response({"server": server_view(self._project, server)})

    async def create_server(self, request: web.Request) -> web.Response:
        """POST /servers: the name is unique; a type that a location does not offer is refused."""
        body = await body_of(request)
        name = text(body, "name")
        if not _HOST_NAME.fullmatch(name):
            raise invalid(f"{name} is not a valid hostname")
        type_ = SERVER_TYPES.get(text(body, "server_type"))
        if type_ is None:
            raise ApiError(422, "invalid_server_type", f"server type {body['server_type']} does not exist")
        image = self._image(text(body, "image"))
        location = body.get("location") or next(iter(LOCATIONS))
        if image is None or location not in LOCATIONS or image.architecture != type_.architecture:
            raise invalid("image, location or architecture is not known or does not fit the server type")
        if image.disk_gb > type_.disk:
            raise invalid("image disk is bigger than server type disk")
        keys = [self._key(reference) for reference in body.get("ssh_keys", [])]
        labels = labels_of(body)
        if by_name(self._project.contents.servers.values(), name):
            raise ApiError(409, "uniqueness_error", "server name is already used")
        if type_.retired or (type_.name, location) in self.sold_out:
            raise ApiError(412, "resource_unavailable", f"{type_.name} is not available in {location}")
        if len(self._project.contents.servers) >= self.server_limit:
            raise ApiError(403, "resource_limit_exceeded", "server limit exceeded")
        id_ = self._project.new_id()
        ipv4, ipv6 = self._addresses(body, id_)
        server = Server(
            id=id_,
            name=name,
            type_name=type_.name,
            location=location,
            image_id=image.id,
            ipv4=ipv4,
            ipv6=ipv6,
            created=self._project.now(),
            labels=labels,
            user_data=_user_data(body),
            own_keys=[key.public_key for key in keys],
        )
        self._project.contents.servers[server.id] = server
        created = self._worker.begin("create_server", ("server", server.id), ("image", image.id))
        following: list[Task] = []
        if body.get("start_after_create", True):
            following.append(self._worker.begin("start_server", ("server", server.id), after=created))
        answer = {
            "server": server_view(self._project, server),
            "action": task_view(created),
            "next_actions": [task_view(task) for task in following],
            "root_password": None if keys else "only-the-lab-sends-this",
        }
        return web.json_response(answer, status=201)

    async def delete_server(self, request: web.Request) -> web.Response:
        """DELETE /servers/{id}."""
        server = self._unlocked_server(request)
        server.status = "deleting"
        return announce(self._worker.begin("delete_server", ("server", server.id)), status=200)

    async def enable_rescue(self, request: web.Request) -> web.Response:
        """POST /servers/{id}/actions/enable_rescue: keys by id; the next boot is into it, with a new password."""
        server = self._unlocked_server(request)
        body = await body_of(request)
        if body.get("type", "linux64") != "linux64":
            raise invalid("type must be linux64")
        keys = [self._key(reference) for reference in body.get("ssh_keys", [])]
        server.rescue_keys = [key.public_key for key in keys]
        server.rescue_password = secrets.token_urlsafe(15)
        server.rescue_enabled = server.rescue_enabled or not request[PRETEND]
        task = self._worker.begin("enable_rescue", ("server", server.id))
        return web.json_response({"action": task_view(task), "root_password": server.rescue_password}, status=201)

    async def move_server(self, request: web.Request) -> web.Response:
        """POST /servers/{id}/actions/poweron, poweroff, shutdown, reset."""
        server = self._unlocked_server(request)
        move = request.path.rsplit("/", 1)[-1]
        return announce(self._worker.begin(MOVES[move], ("server", server.id), pretend=request[PRETEND]))

    async def create_image(self, request: web.Request) -> web.Response:
        """POST /servers/{id}/actions/create_image: a snapshot of the server's disk."""
        server = self._unlocked_server(request)
        body = await body_of(request)
        snapshots = [image for image in self._project.contents.images.values() if image.kind == "snapshot"]
        if len(snapshots) >= self.snapshot_limit:
            raise ApiError(403, "resource_limit_exceeded", "snapshot limit exceeded")
        image = Image(
            id=self._project.new_id(),
            kind="snapshot",
            name=None,
            description=body.get("description") or f"snapshot of {server.name}",
            created=self._project.now(),
            status="creating",
            labels=labels_of(body),
            disk_gb=SERVER_TYPES[server.type_name].disk,
            server_id=server.id,
            server_name=server.name,
        )
        self._project.contents.images[image.id] = image
        task = self._worker.begin("create_image", ("server", server.id), ("image", image.id))
        return web.json_response({"action": task_view(task), "image": image_view(image)}, status=201)

    def _addresses(self, body: dict[str, Any], server_id: int) -> tuple[str, str]:
        """Return a new server's IPv4 address and IPv6 network, as `public_net` asks; else both."""
        public_net = body.get("public_net") or {}
        ipv4 = self._project.free_address() if public_net.get("enable_ipv4", True) else ""
        if not public_net.get("enable_ipv6", True):
            return ipv4, ""
        network = self._project.free_network(server_id, reachable=not ipv4)
        if network is None:
            raise ApiError(403, "resource_limit_exceeded", "the lab has one address for a server without IPv4")
        return ipv4, network

    def _unlocked_server(self, request: web.Request) -> Server:
        server = get(self._project.contents.servers, request, "server")
        if self._project.running_tasks("server", server.id):
            raise ApiError(423, "locked", "server is locked")
        return server

    def _image(self, reference: str) -> Image | None:
        images = self._project.contents.images
        if reference.isdecimal():
            return images.get(int(reference))
        return by_name(images.values(), reference)

    def _key(self, reference: object) -> Key:
        keys = self._project.contents.keys
        found = keys.get(int(str(reference))) if str(reference).isdecimal() else by_name(keys.values(), str(reference))
        if found is None:
            raise not_found("SSH key", reference)
        return found


def _user_data(body: dict[str, Any]) -> str:
    """Return a request's user_data; none where it has none."""
    value = body.get("user_data") or ""
    if not isinstance(value, str) or len(value.encode()) > _MOST_USER_DATA:
        raise invalid("invalid input in field 'user_data'")
    return value
