"""Images: `/images` and its actions. https://docs.hetzner.cloud/reference/cloud#images."""

from aiohttp import web

from hyops_lab.hetzner.answers import ApiError, body_of, invalid, page_of
from hyops_lab.hetzner.parameters import actions_of, announce, get, labels_of, selected
from hyops_lab.hetzner.project import Image, Project
from hyops_lab.hetzner.views import image_view
from hyops_lab.hetzner.work import Worker


class ImageCalls:
    """The handlers of images."""

    def __init__(self, project: Project, worker: Worker) -> None:
        self._project = project
        self._worker = worker

    async def list_images(self, request: web.Request) -> web.Response:
        """GET /images."""
        kinds, states = request.query.getall("type", []), request.query.getall("status", [])
        if set(states) - {"available", "creating", "unavailable"}:
            raise invalid(f"status {states} is not one of available, creating, unavailable")
        architectures = request.query.getall("architecture", [])
        images = [
            image
            for image in selected(request, self._project.contents.images)
            if (not kinds or image.kind in kinds)
            and (not states or image.status in states)
            and (not architectures or image.architecture in architectures)
        ]
        return page_of(request, "images", [image_view(image) for image in images])

    async def get_image(self, request: web.Request) -> web.Response:
        """GET /images/{id}."""
        return web.json_response({"image": image_view(get(self._project.contents.images, request, "image"))})

    async def update_image(self, request: web.Request) -> web.Response:
        """PUT /images/{id}: replaces the whole set of labels; a protected image is left alone."""
        image = _changeable(get(self._project.contents.images, request, "image"))
        body = await body_of(request)
        if "labels" in body:
            image.labels = labels_of(body)
        image.description = body.get("description", image.description)
        self._project.save()
        return web.json_response({"image": image_view(image)})

    async def delete_image(self, request: web.Request) -> web.Response:
        """DELETE /images/{id}."""
        image = _changeable(get(self._project.contents.images, request, "image"))
        if self._project.running_tasks("image", image.id):
            raise ApiError(423, "locked", "image is locked")
        del self._project.contents.images[image.id]
        self._project.image_disk(image.id).unlink(missing_ok=True)
        self._project.save()
        return web.Response(status=204)

    async def protect_image(self, request: web.Request) -> web.Response:
        """POST /images/{id}/actions/change_protection: snapshots only."""
        image = get(self._project.contents.images, request, "image")
        if image.kind != "snapshot":
            raise invalid("only snapshots can be protected")
        image.protected = bool((await body_of(request)).get("delete", image.protected))
        return announce(self._worker.begin("change_protection", ("image", image.id)))

    async def list_image_actions(self, request: web.Request) -> web.Response:
        """GET /images/{id}/actions."""
        return actions_of(self._project, "image", get(self._project.contents.images, request, "image").id, request)


def _changeable(image: Image) -> Image:
    if image.kind == "system":
        raise ApiError(403, "forbidden", "system images cannot be changed")
    if image.protected:
        raise ApiError(423, "protected", "image is delete protected")
    return image
