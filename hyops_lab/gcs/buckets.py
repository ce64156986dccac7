"""Buckets: their settings and policies, one JSON file each.

Source: https://cloud.google.com/storage/docs/json_api/v1/buckets.
"""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hyops_lab.gcs.access import PUBLIC, Binding, checked_bindings, permissions
from hyops_lab.gcs.answers import ApiError, invalid, no_bucket, precondition_failed

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_SETTABLE = {
    "iamConfiguration",
    "labels",
    "lifecycle",
    "retentionPolicy",
    "softDeletePolicy",
    "storageClass",
    "versioning",
}
_FIXED = {"name", "location", "locationType"}
OWN_PROJECT = "1"
"""The number of the project whose storage is served; a bucket of another one has another."""
_OWNED = "Your previous request to create the named bucket succeeded and you already own it."
_NOT_AVAILABLE = (
    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please "
    "select a different name and try again."
)


class Bucket:
    """One bucket. `resource` is what the API shows of it, `bindings` who may do what."""

    def __init__(self, path: Path, resource: dict[str, Any], bindings: list[Binding], policy_version: int) -> None:
        self._path = path
        self.resource = resource
        self.bindings = bindings
        self._policy_version = policy_version

    @property
    def name(self) -> str:
        """Its name, unique in the world."""
        return self.resource["name"]

    @property
    def is_own(self) -> bool:
        """Whether it is in the project that is served."""
        return self.resource["projectNumber"] == OWN_PROJECT

    @property
    def public_access_prevented(self) -> bool:
        """Whether grants to everyone are ignored, and new ones refused."""
        return self.resource["iamConfiguration"]["publicAccessPrevention"] == "enforced"

    def allowed(self, principal: str | None) -> frozenset[str]:
        """Return a principal's permissions by the bucket's own policy."""
        return permissions(principal, self.bindings, public=not self.public_access_prevented)

    def retained_until(self, created: datetime) -> datetime | None:
        """Return until when an object created then can be neither removed nor replaced."""
        policy = self.resource.get("retentionPolicy")
        return created + timedelta(seconds=int(policy["retentionPeriod"])) if policy else None

    def policy(self) -> dict[str, Any]:
        """Return the policy as the API shows it."""
        etag = f"CA{self._policy_version}="
        return {"kind": "storage#policy", "version": 1, "etag": etag, "bindings": self.bindings}

    def set_policy(self, body: dict[str, Any]) -> dict[str, Any]:
        """Replace the policy.

        Raises:
            ApiError: 412: another client replaced it since it was read, or everyone would be let in where that is
                prevented; 400: a role or a member that does not exist.
        """
        if "etag" in body and body["etag"] != self.policy()["etag"]:
            raise precondition_failed()
        bindings = checked_bindings(body.get("bindings", []))
        if self.public_access_prevented and any(PUBLIC & set(one["members"]) for one in bindings):
            message = (
                "The member bindings allUsers and allAuthenticatedUsers are not allowed since public access "
                "prevention is enforced."
            )
            raise ApiError(412, "conditionNotMet", message)
        self.bindings = bindings
        self._policy_version += 1
        self.save()
        return self.policy()

    def patch(self, body: dict[str, Any]) -> None:
        """Merge settings into the bucket's.

        Raises:
            ApiError: 400: a setting that does not exist or cannot change; 403: a locked retention would shrink.
        """
        _check_settings(body, fixed={name: self.resource[name] for name in _FIXED})
        retention = self.resource.get("retentionPolicy")
        if retention and retention.get("isLocked") and "retentionPolicy" in body:
            wanted = body["retentionPolicy"]
            if not wanted or int(wanted["retentionPeriod"]) < int(retention["retentionPeriod"]):
                raise ApiError(403, "forbidden", "Cannot reduce retention duration of a locked Retention Policy.")
        _merge(self.resource, _normal(body))
        self._touch()

    def lock_retention(self, metageneration: str | None) -> None:
        """Lock the retention policy for ever.

        Raises:
            ApiError: 400: there is none, or no metageneration is given; 412: it is another one.
        """
        if metageneration is None:
            raise invalid("Required parameter: ifMetagenerationMatch")
        if metageneration != self.resource["metageneration"]:
            raise precondition_failed()
        if "retentionPolicy" not in self.resource:
            raise invalid("The bucket has no retention policy.")
        self.resource["retentionPolicy"]["isLocked"] = True
        self._touch()

    def save(self) -> None:
        """Write the bucket to its file, at once."""
        content = {"resource": self.resource, "bindings": self.bindings, "policy_version": self._policy_version}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.replace(self._path)

    def _touch(self) -> None:
        self.resource["metageneration"] = str(int(self.resource["metageneration"]) + 1)
        self.resource["etag"] = f"CB{self.resource['metageneration']}="
        self.resource["updated"] = now_text()
        self.save()


class Buckets:
    """The buckets of one project, in `<directory>/<bucket>/bucket.json`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all: dict[str, Bucket] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.glob("*/bucket.json"):
            bucket = Bucket(path, **json.loads(path.read_text()))
            self._all[bucket.name] = bucket

    def list(self, prefix: str = "") -> list[Bucket]:
        """Return the project's own buckets whose names start so, by name."""
        own = [one for one in self._all.values() if one.is_own and one.name.startswith(prefix)]
        return sorted(own, key=lambda bucket: bucket.name)

    def __contains__(self, name: object) -> bool:
        """Whether the name is taken."""
        return name in self._all

    def get(self, name: str) -> Bucket:
        """Return a bucket.

        Raises:
            ApiError: 404.
        """
        if name not in self._all:
            raise no_bucket()
        return self._all[name]

    def create(self, body: dict[str, Any], *, project_number: str = OWN_PROJECT) -> Bucket:
        """Create a bucket; only the project's accounts have rights on it.

        Raises:
            ApiError: 400: the name or a setting is none; 409: the name is taken.
        """
        name = str(body.get("name", ""))
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        if name in self._all:
            raise ApiError(409, "conflict", _OWNED if self._all[name].is_own else _NOT_AVAILABLE)
        _check_settings(body, fixed={})
        time = now_text()
        resource: dict[str, Any] = {
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{name}",
            "projectNumber": project_number,
            "location": str(body.get("location", "US")).upper(),
            "locationType": "multi-region",
            "storageClass": "STANDARD",
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "inherited",
            },
            "metageneration": "1",
            "etag": "CB1=",
            "timeCreated": time,
            "updated": time,
        }
        _merge(resource, _normal({key: value for key, value in body.items() if key in _SETTABLE}))
        path = self._directory / name / "bucket.json"
        path.parent.mkdir()
        self._all[name] = Bucket(path, resource, [], 1)
        self._all[name].save()
        return self._all[name]

    def delete(self, name: str) -> None:
        """Forget an empty bucket."""
        bucket = self._all.pop(name)
        shutil.rmtree(self._directory / bucket.name)


def now_text() -> str:
    """Return the time as the API writes it: RFC 3339, milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check_settings(body: dict[str, Any], *, fixed: dict[str, Any]) -> None:
    for key, value in body.items():
        if fixed and key in _FIXED and value != fixed[key]:
            raise invalid(f"The {key} of a bucket cannot change.")
        if key not in _SETTABLE | _FIXED:
            raise invalid(f"Unknown or unserved setting of a bucket: {key}")
    access = body.get("iamConfiguration", {})
    if access.get("publicAccessPrevention", "inherited") not in ("inherited", "enforced", "unspecified"):
        raise invalid("Invalid value for publicAccessPrevention.")
    if access.get("uniformBucketLevelAccess", {}).get("enabled") is False:
        raise invalid("Access by object (ACLs) is not served: leave uniformBucketLevelAccess enabled.")
    retention = body.get("retentionPolicy")
    if retention and not 0 < int(retention.get("retentionPeriod", 0)) <= 3155760000:
        raise invalid("The retention period must be between 1 second and 100 years.")


def _normal(body: dict[str, Any]) -> dict[str, Any]:
    if not body.get("retentionPolicy"):
        return body
    period = str(int(body["retentionPolicy"]["retentionPeriod"]))
    return body | {"retentionPolicy": {"retentionPeriod": period, "effectiveTime": now_text()}}


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    """Apply a JSON merge patch (RFC 7396)."""
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
