"""The routes of the API that a seed touches, and the rules of keys. https://docs.hetzner.cloud/reference/cloud."""

import hashlib
from base64 import b64decode

from aiohttp import web

from hyops_lab.hetzner.answers import ROOT, ApiError, body_of, invalid, page_of
from hyops_lab.hetzner.catalogue import LOCATIONS, SERVER_TYPES, location_view, server_type_view
from hyops_lab.hetzner.image_calls import ImageCalls
from hyops_lab.hetzner.parameters import get, labels_of, selected, text
from hyops_lab.hetzner.project import Key, Project
from hyops_lab.hetzner.server_calls import MOVES, ServerCalls
from hyops_lab.hetzner.views import key_view, task_view
from hyops_lab.hetzner.work import Worker


class Api:
    """The handlers; those of servers and images stand in files of their own."""

    def __init__(self, project: Project, worker: Worker, *, snapshot_limit: int, server_limit: int) -> None:
        self._project = project
        self.images = ImageCalls(project, worker)
        self.servers = ServerCalls(project, worker, snapshot_limit=snapshot_limit, server_limit=server_limit)

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            web.get(f"{ROOT}/locations", self.list_locations),
            web.get(f"{ROOT}/server_types", self.list_server_types),
            web.get(f"{ROOT}/actions/{{id}}", self.get_action),
            web.get(f"{ROOT}/ssh_keys", self.list_keys),
            web.post(f"{ROOT}/ssh_keys", self.create_key),
            web.delete(f"{ROOT}/ssh_keys/{{id}}", self.delete_key),
            web.get(f"{ROOT}/images", self.images.list_images),
            web.get(f"{ROOT}/images/{{id}}", self.images.get_image),
            web.put(f"{ROOT}/images/{{id}}", self.images.update_image),
            web.delete(f"{ROOT}/images/{{id}}", self.images.delete_image),
            web.get(f"{ROOT}/images/{{id}}/actions", self.images.list_image_actions),
            web.post(f"{ROOT}/images/{{id}}/actions/change_protection", self.images.protect_image),
            web.get(f"{ROOT}/servers", self.servers.list_servers),
            web.post(f"{ROOT}/servers", self.servers.create_server),
            web.get(f"{ROOT}/servers/{{id}}", self.servers.get_server),
            web.delete(f"{ROOT}/servers/{{id}}", self.servers.delete_server),
            web.get(f"{ROOT}/servers/{{id}}/actions", self.servers.list_server_actions),
            web.post(f"{ROOT}/servers/{{id}}/actions/enable_rescue", self.servers.enable_rescue),
            web.post(f"{ROOT}/servers/{{id}}/actions/create_image", self.servers.create_image),
            *(web.post(f"{ROOT}/servers/{{id}}/actions/{move}", self.servers.move_server) for move in MOVES),
        ]

    async def list_locations(self, request: web.Request) -> web.Response:
        """GET /locations."""
        return page_of(request, "locations", [location_view(name) for name in LOCATIONS])

    async def list_server_types(self, request: web.Request) -> web.Response:
        """GET /server_types."""
        wanted = request.query.get("name")
        rows = [row for row in SERVER_TYPES.values() if wanted in (None, row.name)]
        return page_of(request, "server_types", [server_type_view(row, self.servers.sold_out) for row in rows])

    async def get_action(self, request: web.Request) -> web.Response:
        """GET /actions/{id}."""
        return web.json_response({"action": task_view(get(self._project.contents.tasks, request, "action"))})

    async def list_keys(self, request: web.Request) -> web.Response:
        """GET /ssh_keys."""
        keys = selected(request, self._project.contents.keys)
        return page_of(request, "ssh_keys", [key_view(key) for key in keys])

    async def create_key(self, request: web.Request) -> web.Response:
        """POST /ssh_keys: the name and the fingerprint are unique."""
        body = await body_of(request)
        name, public_key = text(body, "name"), text(body, "public_key")
        fingerprint = _fingerprint(public_key)
        for key in self._project.contents.keys.values():
            if name == key.name or fingerprint == key.fingerprint:
                raise ApiError(409, "uniqueness_error", "SSH key not unique")
        key = Key(
            id=self._project.new_id(),
            name=name,
            public_key=public_key,
            fingerprint=fingerprint,
            created=self._project.now(),
            labels=labels_of(body),
        )
        self._project.contents.keys[key.id] = key
        self._project.save()
        return web.json_response({"ssh_key": key_view(key)}, status=201)

    async def delete_key(self, request: web.Request) -> web.Response:
        """DELETE /ssh_keys/{id}."""
        key = get(self._project.contents.keys, request, "ssh_key")
        del self._project.contents.keys[key.id]
        self._project.save()
        return web.Response(status=204)


def _fingerprint(public_key: str) -> str:
    """Return the MD5 fingerprint, as the API shows it."""
    try:
        blob = b64decode(public_key.split()[1], validate=True)
    except (IndexError, ValueError) as error:
        raise invalid("public_key is not an OpenSSH public key") from error
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
