"""The routes of the API that a seed touches, and their rules. https://docs.hetzner.cloud/reference/cloud."""

import hashlib
import re
from base64 import b64decode
from typing import Any

from aiohttp import web

from hyops_assets.lab.hetzner.answers import PRETEND, ROOT, ApiError, body_of, invalid, not_found, page_of
from hyops_assets.lab.hetzner.catalogue import LOCATIONS, SERVER_TYPES, location_view, server_type_view
from hyops_assets.lab.hetzner.labels import BadLabels, parse_selector, require_labels
from hyops_assets.lab.hetzner.project import Image, Key, Named, Project, Server, Task, by_name, now
from hyops_assets.lab.hetzner.views import image_view, key_view, server_view, task_view
from hyops_assets.lab.hetzner.work import Worker

_HOST_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?")
_MOVES = {"poweron": "start_server", "poweroff": "stop_server", "shutdown": "shutdown_server", "reset": "reset_server"}


class Api:
    """The handlers.

    Attributes:
        sold_out: (server type, location) pairs that are not on offer.
        snapshot_limit: snapshots the customer may have.
    """

    def __init__(self, project: Project, worker: Worker, *, snapshot_limit: int) -> None:
        self._project = project
        self._worker = worker
        self.snapshot_limit = snapshot_limit
        self.sold_out: set[tuple[str, str]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            web.get(f"{ROOT}/locations", self.list_locations),
            web.get(f"{ROOT}/server_types", self.list_server_types),
            web.get(f"{ROOT}/actions/{{id}}", self.get_action),
            web.get(f"{ROOT}/ssh_keys", self.list_keys),
            web.post(f"{ROOT}/ssh_keys", self.create_key),
            web.delete(f"{ROOT}/ssh_keys/{{id}}", self.delete_key),
            web.get(f"{ROOT}/images", self.list_images),
            web.get(f"{ROOT}/images/{{id}}", self.get_image),
            web.put(f"{ROOT}/images/{{id}}", self.update_image),
            web.delete(f"{ROOT}/images/{{id}}", self.delete_image),
            web.get(f"{ROOT}/images/{{id}}/actions", self.list_image_actions),
            web.post(f"{ROOT}/images/{{id}}/actions/change_protection", self.protect_image),
            web.get(f"{ROOT}/servers", self.list_servers),
            web.post(f"{ROOT}/servers", self.create_server),
            web.get(f"{ROOT}/servers/{{id}}", self.get_server),
            web.delete(f"{ROOT}/servers/{{id}}", self.delete_server),
            web.get(f"{ROOT}/servers/{{id}}/actions", self.list_server_actions),
            web.post(f"{ROOT}/servers/{{id}}/actions/enable_rescue", self.enable_rescue),
            web.post(f"{ROOT}/servers/{{id}}/actions/create_image", self.create_image),
            *(web.post(f"{ROOT}/servers/{{id}}/actions/{move}", self.move_server) for move in _MOVES),
        ]

    async def list_locations(self, request: web.Request) -> web.Response:
        """GET /locations."""
        return page_of(request, "locations", [location_view(name) for name in LOCATIONS])

    async def list_server_types(self, request: web.Request) -> web.Response:
        """GET /server_types."""
        wanted = request.query.get("name")
        rows = [row for row in SERVER_TYPES.values() if wanted in (None, row.name)]
        return page_of(request, "server_types", [server_type_view(row, self.sold_out) for row in rows])

    async def get_action(self, request: web.Request) -> web.Response:
        """GET /actions/{id}."""
        return web.json_response({"action": task_view(_get(self._project.contents.tasks, request, "action"))})

    async def list_keys(self, request: web.Request) -> web.Response:
        """GET /ssh_keys."""
        keys = _selected(request, self._project.contents.keys)
        return page_of(request, "ssh_keys", [key_view(key) for key in keys])

    async def create_key(self, request: web.Request) -> web.Response:
        """POST /ssh_keys: the name and the fingerprint are unique."""
        body = await body_of(request)
        name, public_key = _text(body, "name"), _text(body, "public_key")
        fingerprint = _fingerprint(public_key)
        for key in self._project.contents.keys.values():
            if name == key.name or fingerprint == key.fingerprint:
                raise ApiError(409, "uniqueness_error", "SSH key not unique")
        key = Key(
            id=self._project.new_id(),
            name=name,
            public_key=public_key,
            fingerprint=fingerprint,
            created=now(),
            labels=_labels(body),
        )
        self._project.contents.keys[key.id] = key
        self._project.save()
        return web.json_response({"ssh_key": key_view(key)}, status=201)

    async def delete_key(self, request: web.Request) -> web.Response:
        """DELETE /ssh_keys/{id}."""
        key = _get(self._project.contents.keys, request, "ssh_key")
        del self._project.contents.keys[key.id]
        self._project.save()
        return web.Response(status=204)

    async def list_images(self, request: web.Request) -> web.Response:
        """GET /images."""
        kinds, states = request.query.getall("type", []), request.query.getall("status", [])
        if set(states) - {"available", "creating", "unavailable"}:
            raise invalid(f"status {states} is not one of available, creating, unavailable")
        architectures = request.query.getall("architecture", [])
        images = [
            image
            for image in _selected(request, self._project.contents.images)
            if (not kinds or image.kind in kinds)
            and (not states or image.status in states)
            and (not architectures or image.architecture in architectures)
        ]
        return page_of(request, "images", [image_view(image) for image in images])

    async def get_image(self, request: web.Request) -> web.Response:
        """GET /images/{id}."""
        return web.json_response({"image": image_view(_get(self._project.contents.images, request, "image"))})

    async def update_image(self, request: web.Request) -> web.Response:
        """PUT /images/{id}: replaces the whole set of labels; a protected image is left alone."""
        image = _changeable(_get(self._project.contents.images, request, "image"))
        body = await body_of(request)
        if "labels" in body:
            image.labels = _labels(body)
        image.description = body.get("description", image.description)
        self._project.save()
        return web.json_response({"image": image_view(image)})

    async def delete_image(self, request: web.Request) -> web.Response:
        """DELETE /images/{id}."""
        image = _changeable(_get(self._project.contents.images, request, "image"))
        if self._project.running_tasks("image", image.id):
            raise ApiError(423, "locked", "image is locked")
        del self._project.contents.images[image.id]
        self._project.image_disk(image.id).unlink(missing_ok=True)
        self._project.save()
        return web.Response(status=204)

    async def protect_image(self, request: web.Request) -> web.Response:
        """POST /images/{id}/actions/change_protection: snapshots only."""
        image = _get(self._project.contents.images, request, "image")
        if image.kind != "snapshot":
            raise invalid("only snapshots can be protected")
        image.protected = bool((await body_of(request)).get("delete", image.protected))
        return _announce(self._worker.begin("change_protection", ("image", image.id)))

    async def list_image_actions(self, request: web.Request) -> web.Response:
        """GET /images/{id}/actions."""
        return self._actions_of("image", _get(self._project.contents.images, request, "image").id, request)

    async def list_server_actions(self, request: web.Request) -> web.Response:
        """GET /servers/{id}/actions."""
        return self._actions_of("server", _get(self._project.contents.servers, request, "server").id, request)

    async def list_servers(self, request: web.Request) -> web.Response:
        """GET /servers."""
        servers = _selected(request, self._project.contents.servers)
        return page_of(request, "servers", [server_view(self._project, server) for server in servers])

    async def get_server(self, request: web.Request) -> web.Response:
        """GET /servers/{id}."""
        server = _get(self._project.contents.servers, request, "server")
        return web.json_response({"server": server_view(self._project, server)})

    async def create_server(self, request: web.Request) -> web.Response:
        """POST /servers: the name is unique; a type that a location does not offer is refused."""
        body = await body_of(request)
        name = _text(body, "name")
        if not _HOST_NAME.fullmatch(name):
            raise invalid(f"{name} is not a valid hostname")
        type_ = SERVER_TYPES.get(_text(body, "server_type"))
        if type_ is None:
            raise ApiError(422, "invalid_server_type", f"server type {body['server_type']} does not exist")
        image = self._image(_text(body, "image"))
        location = body.get("location") or next(iter(LOCATIONS))
        if image is None or location not in LOCATIONS or image.architecture != type_.architecture:
            raise invalid("image, location or architecture is not known or does not fit the server type")
        if image.disk_gb > type_.disk:
            raise invalid("image disk is bigger than server type disk")
        keys = [self._key(reference) for reference in body.get("ssh_keys", [])]
        labels = _labels(body)
        if by_name(self._project.contents.servers.values(), name):
            raise ApiError(409, "uniqueness_error", "server name is already used")
        if type_.retired or (type_.name, location) in self.sold_out:
            raise ApiError(412, "resource_unavailable", f"{type_.name} is not available in {location}")
        server = Server(
            id=self._project.new_id(),
            name=name,
            type_name=type_.name,
            location=location,
            image_id=image.id,
            ipv4=self._project.free_address(),
            created=now(),
            labels=labels,
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
        return _announce(self._worker.begin("delete_server", ("server", server.id)), status=200)

    async def enable_rescue(self, request: web.Request) -> web.Response:
        """POST /servers/{id}/actions/enable_rescue: keys by id; the next boot is into the rescue system."""
        server = self._unlocked_server(request)
        body = await body_of(request)
        if body.get("type", "linux64") != "linux64":
            raise invalid("type must be linux64")
        keys = [self._key(reference) for reference in body.get("ssh_keys", [])]
        server.rescue_keys = [key.public_key for key in keys]
        server.rescue_enabled = server.rescue_enabled or not request[PRETEND]
        task = self._worker.begin("enable_rescue", ("server", server.id))
        return web.json_response({"action": task_view(task), "root_password": "only-the-lab-sends-this"}, status=201)

    async def move_server(self, request: web.Request) -> web.Response:
        """POST /servers/{id}/actions/poweron, poweroff, shutdown, reset."""
        server = self._unlocked_server(request)
        move = request.path.rsplit("/", 1)[-1]
        return _announce(self._worker.begin(_MOVES[move], ("server", server.id), pretend=request[PRETEND]))

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
            created=now(),
            status="creating",
            labels=_labels(body),
            disk_gb=SERVER_TYPES[server.type_name].disk,
            server_id=server.id,
            server_name=server.name,
        )
        self._project.contents.images[image.id] = image
        task = self._worker.begin("create_image", ("server", server.id), ("image", image.id))
        return web.json_response({"action": task_view(task), "image": image_view(image)}, status=201)

    def _unlocked_server(self, request: web.Request) -> Server:
        server = _get(self._project.contents.servers, request, "server")
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

    def _actions_of(self, kind: str, id_: int, request: web.Request) -> web.Response:
        tasks = [task for task in self._project.contents.tasks.values() if (kind, id_) in task.resources]
        wanted = request.query.getall("status", [])
        return page_of(request, "actions", [task_view(task) for task in tasks if not wanted or task.status in wanted])


def _get(resources: dict[int, Any], request: web.Request, what: str) -> Any:
    reference = request.match_info["id"]
    found = resources.get(int(reference)) if reference.isdecimal() else None
    if found is None:
        raise not_found(what, reference)
    return found


def _selected(request: web.Request, resources: dict[int, Named]) -> list[Named]:
    """Return resources as `name` and `label_selector` ask, by id."""
    name, selector = request.query.get("name"), request.query.get("label_selector")
    try:
        chosen = parse_selector(selector) if selector else lambda _: True
    except BadLabels as error:
        raise invalid(str(error)) from error
    found = sorted(resources.values(), key=lambda each: each.id)
    return [each for each in found if name in (None, each.name) and chosen(each.labels)]


def _changeable(image: Image) -> Image:
    if image.kind == "system":
        raise ApiError(403, "forbidden", "system images cannot be changed")
    if image.protected:
        raise ApiError(423, "protected", "image is delete protected")
    return image


def _announce(task: Task, *, status: int = 201) -> web.Response:
    return web.json_response({"action": task_view(task)}, status=status)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"invalid input in field '{name}'")
    return value


def _labels(body: dict[str, Any]) -> dict[str, str]:
    try:
        return require_labels(body.get("labels") or {})
    except BadLabels as error:
        raise invalid(str(error)) from error


def _fingerprint(public_key: str) -> str:
    """Return the MD5 fingerprint, as the API shows it."""
    try:
        blob = b64decode(public_key.split()[1], validate=True)
    except (IndexError, ValueError) as error:
        raise invalid("public_key is not an OpenSSH public key") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
