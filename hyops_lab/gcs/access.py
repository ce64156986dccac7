"""Who may do what: roles, the permissions in them, and a bucket's policy.

Source: https://cloud.google.com/storage/docs/access-control/iam-roles. Of each role only what the stand-in serves.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from hyops_lab.gcs.answers import ApiError

_READ = {"storage.objects.get"}
_VIEW = _READ | {"storage.objects.list"}
_CREATE = {"storage.objects.create"}
_OBJECTS = _VIEW | _CREATE | {"storage.objects.delete", "storage.objects.update"}
_BUCKET = {"storage.buckets.get", "storage.objects.list"}
_BUCKETS = {
    "storage.buckets.create",
    "storage.buckets.delete",
    "storage.buckets.get",
    "storage.buckets.getIamPolicy",
    "storage.buckets.list",
    "storage.buckets.setIamPolicy",
    "storage.buckets.update",
}

ROLES: Mapping[str, frozenset[str]] = {
    "roles/storage.admin": frozenset(_OBJECTS | _BUCKETS),
    "roles/storage.objectAdmin": frozenset(_OBJECTS),
    "roles/storage.objectUser": frozenset(_OBJECTS),
    "roles/storage.objectCreator": frozenset(_CREATE),
    "roles/storage.objectViewer": frozenset(_VIEW),
    "roles/storage.bucketViewer": frozenset({"storage.buckets.get", "storage.buckets.list"}),
    "roles/storage.legacyBucketReader": frozenset(_BUCKET),
    "roles/storage.legacyObjectReader": frozenset(_READ),
}
PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})


class Binding(TypedDict):
    """One line of a policy: a role, and who has it."""

    role: str
    members: list[str]


def permissions(principal: str | None, bindings: Iterable[Binding], *, public: bool) -> frozenset[str]:
    """Return the permissions of a principal under a policy.

    Args:
        principal: the e-mail address of a service account; None for an anonymous caller.
        bindings: the policy's.
        public: whether `allUsers` and `allAuthenticatedUsers` count (public access prevention).
    """
    names = {f"serviceAccount:{principal}"} if principal else set[str]()
    if public:
        names |= {"allUsers"} | ({"allAuthenticatedUsers"} if principal else set())
    held = [ROLES[binding["role"]] for binding in bindings if names & set(binding["members"])]
    return frozenset().union(*held)


def checked_bindings(given: object) -> list[Binding]:
    """Return the bindings of a policy that a client sent.

    Raises:
        ApiError: 400: a role or a kind of member that does not exist.
    """
    if not isinstance(given, Sequence):
        raise ApiError(400, "invalid", "Invalid policy: bindings")
    found: list[Binding] = []
    for one in given:
        role, members = one.get("role"), one.get("members", [])
        if role not in ROLES:
            raise ApiError(400, "invalid", f"Role ({role}) does not exist in the resource's hierarchy.")
        for member in members:
            if member not in PUBLIC and not member.startswith("serviceAccount:"):
                raise ApiError(400, "invalid", f"Invalid member: {member}")
        found.append({"role": role, "members": list(members)})
    return found


def denied(principal: str | None, permission: str, resource: str) -> ApiError:
    """Return the answer to a caller without a permission: 401 for an anonymous caller, 403 for a known account."""
    noun = "object" if permission.startswith("storage.objects.") else "bucket"
    caller = principal or "Anonymous caller"
    message = (
        f"{caller} does not have {permission} access to the Google Cloud Storage {noun}. "
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    )
    return ApiError(403, "forbidden", message) if principal else ApiError(401, "required", message)
