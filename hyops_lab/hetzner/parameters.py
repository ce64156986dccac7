"""What requests ask for, read alike by every route: a resource by its id, lists by name and labels, text, labels."""

from typing import Any

from aiohttp import web

from hyops_lab.hetzner.answers import invalid, not_found, page_of
from hyops_lab.hetzner.labels import BadLabels, parse_selector, require_labels
from hyops_lab.hetzner.project import Named, Project, Task
from hyops_lab.hetzner.views import task_view


def actions_of(project: Project, kind: str, id_: int, request: web.Request) -> web.Response:
    """Answer with the actions of a resource, those of the wanted statuses."""
    tasks = [task for task in project.contents.tasks.values() if (kind, id_) in task.resources]
    wanted = request.query.getall("status", [])
    return page_of(request, "actions", [task_view(task) for task in tasks if not wanted or task.status in wanted])


def get(resources: dict[int, Any], request: web.Request, what: str) -> Any:
    """Return what the path names by its id.

    Raises:
        ApiError: 404; `what` is what it should have been.
    """
    reference = request.match_info["id"]
    found = resources.get(int(reference)) if reference.isdecimal() else None
    if found is None:
        raise not_found(what, reference)
    return found


def selected(request: web.Request, resources: dict[int, Named]) -> list[Named]:
    """Return resources as `name` and `label_selector` ask, by id."""
    name, selector = request.query.get("name"), request.query.get("label_selector")
    try:
        chosen = parse_selector(selector) if selector else lambda _: True
    except BadLabels as error:
        raise invalid(str(error)) from error
    found = sorted(resources.values(), key=lambda each: each.id)
    return [each for each in found if name in (None, each.name) and chosen(each.labels)]


def announce(task: Task, *, status: int = 201) -> web.Response:
    """Answer with an action that was begun."""
    return web.json_response({"action": task_view(task)}, status=status)


def text(body: dict[str, Any], name: str) -> str:
    """Return a text that a request must have."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"invalid input in field '{name}'")
    return value


def labels_of(body: dict[str, Any]) -> dict[str, str]:
    """Return a request's labels; none where it has none."""
    try:
        return require_labels(body.get("labels") or {})
    except BadLabels as error:
        raise invalid(str(error)) from error
