"""The JSON API: which caller may do what to which bucket and object, and what is answered.

Source: https://cloud.google.com/storage/docs/json_api/v1. A call that is not here is answered 404, as an unknown one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from hyops_lab.gcs.access import Binding, denied, permissions
from hyops_lab.gcs.answers import ApiError, Sent, invalid, no_object
from hyops_lab.gcs.buckets import Bucket, Buckets
from hyops_lab.gcs.objects import Objects, require_name
from hyops_lab.gcs.uploads import Uploads, json_object

_PAGE = 1000
_BUCKET = r"/storage/v1/b/{bucket}"
_OBJECT = _BUCKET + r"/o/{object:.+}"


@dataclass(frozen=True)
class Call:
    """A request of a known or an anonymous caller. `pretend`: answer as if it were done, and do nothing."""

    request: web.Request
    principal: str | None
    pretend: bool

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of repeated ones the last."""
        return dict(self.request.query)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Api:
    """The calls that are served."""

    def __init__(self, project: str, buckets: Buckets, objects: Objects, uploads: Uploads) -> None:
        self._project = project
        self.project_bindings: list[Binding] = []
        self._buckets = buckets
        self._objects = objects
        self._uploads = uploads

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return method, path and what does it."""
        return (
            ("GET", "/storage/v1/b", self._list_buckets),
            ("POST", "/storage/v1/b", self._create_bucket),
            ("GET", _BUCKET, self._get_bucket),
            ("PATCH", _BUCKET, self._patch_bucket),
            ("DELETE", _BUCKET, self._delete_bucket),
            ("GET", f"{_BUCKET}/iam", self._get_policy),
            ("PUT", f"{_BUCKET}/iam", self._set_policy),
            ("GET", f"{_BUCKET}/iam/testPermissions", self._test_permissions),
            ("POST", f"{_BUCKET}/lockRetentionPolicy", self._lock_retention),
            ("GET", f"{_BUCKET}/o", self._list_objects),
            ("GET", _OBJECT, self._get_object),
            ("DELETE", _OBJECT, self._delete_object),
            ("GET", f"/download{_OBJECT}", self._get_object),
            ("POST", f"/upload{_BUCKET}/o", self._upload),
            ("PUT", f"/upload{_BUCKET}/o", self._resume),
            ("DELETE", f"/upload{_BUCKET}/o", self._cancel),
        )

    def held(self, principal: str | None, bucket: Bucket | None) -> frozenset[str]:
        """Return what a caller may do, by the project's policy and the bucket's."""
        own = bucket is None or bucket.is_own
        by_project = permissions(principal, self.project_bindings, public=False) if own else frozenset[str]()
        return by_project | (bucket.allowed(principal) if bucket else frozenset())

    def require(self, principal: str | None, permission: str, bucket: Bucket | None, name: str = "") -> None:
        """Refuse a caller without a permission.

        Raises:
            ApiError: 401 or 403.
        """
        if permission not in self.held(principal, bucket):
            where = f"//storage.googleapis.com/projects/_/buckets/{bucket.name if bucket else '_'}"
            raise denied(principal, permission, f"{where}/objects/{name}" if name else where)

    def readable(self, principal: str | None, bucket: str, name: str, query: dict[str, str]) -> dict[str, Any]:
        """Return what is noted of an object that a caller may read.

        Raises:
            ApiError: 404 where there is none and the caller may know that; 401 or 403 otherwise.
        """
        found = self._buckets.get(bucket)
        if self._objects.find(found, name) is None and "storage.objects.list" in self.held(principal, found):
            raise no_object(bucket, name)
        self.require(principal, "storage.objects.get", found, name)
        if self._objects.find(found, name) is None:
            raise denied(principal, "storage.objects.list", f"//storage.googleapis.com/projects/_/buckets/{bucket}")
        return self._objects.get(found, name, query)

    def _require_project(self, call: Call, permission: str) -> None:
        if "project" not in call.query:
            raise invalid("Required parameter: project")
        if call.query["project"] != self._project:
            where = f"//cloudresourcemanager.googleapis.com/projects/{call.query['project']}"
            raise denied(call.principal, permission, where)

    async def _list_buckets(self, call: Call) -> web.Response:
        self.require(call.principal, "storage.buckets.list", None)
        self._require_project(call, "storage.buckets.list")
        found = [one.resource for one in self._buckets.list(call.query.get("prefix", ""))]
        return web.json_response({"kind": "storage#buckets", "items": found})

    async def _create_bucket(self, call: Call) -> web.Response:
        self.require(call.principal, "storage.buckets.create", None)
        self._require_project(call, "storage.buckets.create")
        return web.json_response(self._buckets.create(json_object(await call.request.read())).resource)

    async def _get_bucket(self, call: Call) -> web.Response:
        return web.json_response(self._bucket(call, "storage.buckets.get").resource)

    async def _patch_bucket(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.buckets.update")
        wanted = call.query.get("ifMetagenerationMatch")
        if wanted not in (None, bucket.resource["metageneration"]):
            raise ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        bucket.patch(json_object(await call.request.read()))
        return web.json_response(bucket.resource)

    async def _delete_bucket(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.buckets.delete")
        if self._objects.list(bucket, ""):
            raise ApiError(409, "conflict", "The bucket you tried to delete is not empty.")
        self._buckets.delete(bucket.name)
        return web.Response(status=204)

    async def _get_policy(self, call: Call) -> web.Response:
        return web.json_response(self._bucket(call, "storage.buckets.getIamPolicy").policy())

    async def _set_policy(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.buckets.setIamPolicy")
        return web.json_response(bucket.set_policy(json_object(await call.request.read())))

    async def _test_permissions(self, call: Call) -> web.Response:
        bucket = self._buckets.get(call.request.match_info["bucket"])
        requested = call.request.query.getall("permissions", [])
        if not requested or any(not one.startswith("storage.") for one in requested):
            raise invalid("Invalid permissions.")
        held = sorted(self.held(call.principal, bucket) & set(requested))
        answer: dict[str, Any] = {"kind": "storage#testIamPermissionsResponse"}
        return web.json_response(answer | ({"permissions": held} if held else {}))

    async def _lock_retention(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.buckets.update")
        bucket.lock_retention(call.query.get("ifMetagenerationMatch"))
        return web.json_response(bucket.resource)

    async def _list_objects(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.objects.list")
        if call.query.get("delimiter") or call.query.get("versions") == "true":
            raise invalid("delimiter and versions are not served.")
        after, limit = call.query.get("pageToken", ""), min(int(call.query.get("maxResults", _PAGE)), _PAGE)
        found = [one for one in self._objects.list(bucket, call.query.get("prefix", "")) if one["name"] > after]
        answer: dict[str, Any] = {"kind": "storage#objects", "items": found[:limit]}
        return web.json_response(answer | ({"nextPageToken": found[limit - 1]["name"]} if found[limit:] else {}))

    async def _get_object(self, call: Call) -> web.StreamResponse:
        names = call.request.match_info
        found = self.readable(call.principal, names["bucket"], names["object"], call.query)
        if call.query.get("alt") == "media":
            return Sent(self._objects.content(found), headers={"Content-Type": found["contentType"]})
        path = f"/download/storage/v1/b/{found['bucket']}/o/{quote(found['name'], safe='')}"
        link = f"{call.request.url.origin()}{path}?generation={found['generation']}&alt=media"
        return web.json_response(found | {"mediaLink": link})

    async def _delete_object(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.objects.delete")
        self._objects.delete(bucket, call.request.match_info["object"], call.query)
        return web.Response(status=204)

    async def _upload(self, call: Call) -> web.Response:
        bucket = self._bucket(call, "storage.objects.create")
        may_replace = "storage.objects.delete" in self.held(call.principal, bucket)
        if "predefinedAcl" in call.query:
            raise invalid("Cannot use predefinedAcl with uniform bucket-level access.")
        if "name" in call.query:
            require_name(call.query["name"])
        kind = call.query.get("uploadType")
        if kind == "resumable":
            upload_id = await self._uploads.begin(call.request, bucket, may_replace=may_replace)
            here = call.request.url.with_query({"uploadType": "resumable", "upload_id": upload_id})
            return web.Response(headers={"Location": str(here), "X-GUploader-UploadID": upload_id})
        take = {"media": self._uploads.media, "multipart": self._uploads.multipart}.get(kind or "")
        if take is None:
            raise invalid(f"Invalid uploadType: {kind}")
        return web.json_response(await take(call.request, bucket, may_replace=may_replace, pretend=call.pretend))

    async def _resume(self, call: Call) -> web.Response:
        # No credentials are asked for: a caller who has the URI of a session may write to it.
        return await self._uploads.resume(call.query.get("upload_id", ""), call.request, pretend=call.pretend)

    async def _cancel(self, call: Call) -> web.Response:
        return self._uploads.cancel(call.query.get("upload_id", ""))

    def _bucket(self, call: Call, permission: str) -> Bucket:
        bucket = self._buckets.get(call.request.match_info["bucket"])
        self.require(call.principal, permission, bucket, call.request.match_info.get("object", ""))
        return bucket


def project_binding(email: str) -> Binding:
    """Return the line of the project's policy that lets an account do everything."""
    return {"role": "roles/storage.admin", "members": [f"serviceAccount:{email}"]}
