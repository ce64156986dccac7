"""Resources as the API shows them (https://docs.hetzner.cloud/reference/cloud)."""

from datetime import datetime
from typing import Any

from hyops_lab.hetzner.catalogue import SERVER_TYPES, location_view, server_type_view
from hyops_lab.hetzner.project import Image, Key, Project, Server, Task


def task_view(task: Task) -> dict[str, Any]:
    """Return an action."""
    return {
        "id": task.id,
        "command": task.command,
        "status": task.status,
        "progress": 0 if task.status == "running" else 100,
        "started": _time(task.started),
        "finished": _time(task.finished) if task.finished else None,
        "resources": [{"id": id_, "type": kind} for kind, id_ in task.resources],
        "error": task.error.model_dump() if task.error else None,
    }


def key_view(key: Key) -> dict[str, Any]:
    """Return an SSH key."""
    return {**key.model_dump(exclude={"created"}), "created": _time(key.created)}


def image_view(image: Image) -> dict[str, Any]:
    """Return an image."""
    made_from = {"id": image.server_id, "name": image.server_name} if image.server_id is not None else None
    return {
        "id": image.id,
        "type": image.kind,
        "status": image.status,
        "name": image.name,
        "description": image.description,
        "image_size": image.image_gb,
        "disk_size": image.disk_gb,
        "created": _time(image.created),
        "created_from": made_from,
        "bound_to": None,
        "os_flavor": image.os_flavor,
        "os_version": image.os_version,
        "rapid_deploy": image.kind == "system",
        "protection": {"delete": image.protected},
        "deprecated": None,
        "deleted": None,
        "labels": image.labels,
        "architecture": image.architecture,
    }


def server_view(project: Project, server: Server) -> dict[str, Any]:
    """Return a server."""
    type_ = SERVER_TYPES[server.type_name]
    image = project.contents.images.get(server.image_id)
    location = location_view(server.location)
    return {
        "id": server.id,
        "name": server.name,
        "status": server.status,
        "created": _time(server.created),
        "public_net": {
            "ipv4": _ipv4_view(server) if server.ipv4 else None,
            "ipv6": _ipv6_view(server) if server.ipv6 else None,
            "floating_ips": [],
            "firewalls": [],
        },
        "private_net": [],
        "server_type": server_type_view(type_, set()),
        "location": location,
        # Gone from the vendor's live answers since July 2026, still required by its published schema of June.
        "datacenter": {
            "id": location["id"],
            "name": f"{server.location}-dc1",
            "description": f"{server.location} virtual DC 1",
            "location": location,
            "server_types": {"supported": [], "available": [], "available_for_migration": []},
        },
        "image": image_view(image) if image else None,
        "iso": None,
        "rescue_enabled": server.rescue_enabled,
        "locked": bool(project.running_tasks("server", server.id)),
        "backup_window": None,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": 20 << 40,
        "protection": {"delete": False, "rebuild": False},
        "labels": server.labels,
        "volumes": [],
        "load_balancers": [],
        "primary_disk_size": type_.disk,
        "placement_group": None,
    }


def _ipv4_view(server: Server) -> dict[str, Any]:
    return {"id": server.id, "ip": server.ipv4, "blocked": False, "dns_ptr": f"static.{server.id}.lab"}


def _ipv6_view(server: Server) -> dict[str, Any]:
    return {"id": server.id, "ip": server.ipv6, "blocked": False, "dns_ptr": []}


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")
