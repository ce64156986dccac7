"""The service over TLS, buckets in the path: who asks, what is done, faults and the trace.

Anonymous readers get objects of a public bucket, and nothing else. Nothing is ever removed: no caller needs it.
"""

import asyncio
import base64
import binascii
import hashlib
import re
import time
import weakref
from collections.abc import Callable, Mapping
from email.utils import formatdate
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from aiohttp import web

from hyops_lab.authority import Authority
from hyops_lab.faults import Answer, Delay, DropAfterCommit, FaultTable
from hyops_lab.s3.answers import S3Error, denied, document
from hyops_lab.s3.signature import require_body, signer
from hyops_lab.s3.store import Bucket, Conduct, Stored, part_tag
from hyops_lab.trace import Request, Trace

HOST = "127.0.0.1"
_KEPT = ("Content-Type", "Cache-Control")
_META = "x-amz-meta-"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_MOST_BYTES = 256 << 20
_PAGE = 1000


class S3StandIn:
    """An S3 service on loopback.

    Args:
        trace: where every request is written, as `s3`.
        authority: signs the server's certificate.
        port: 0 takes a free one; `port` tells which.
        clock: the service's time.
    """

    def __init__(
        self, trace: Trace, authority: Authority, *, port: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self.port = port
        self.faults = FaultTable()
        self.buckets: dict[str, Bucket] = {}
        self.keys: dict[str, str] = {}
        self.readers: set[str] = set()
        self.clock = clock
        self._trace = trace
        self._authority = authority
        self._runner: web.AppRunner | None = None
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    @property
    def url(self) -> str:
        """The endpoint, without a slash at its end; its port is known once the server has started."""
        return f"https://{HOST}:{self.port}"

    def provide_bucket(self, name: str, conduct: Conduct | None = None) -> Bucket:
        """Create a bucket, or return the one that is there."""
        return self.buckets.setdefault(name, Bucket(conduct or Conduct()))

    def key(self, name: str, secret: str, *, may_write: bool = True) -> None:
        """Create a key with the rights to read and list, and to write unless `may_write` is false."""
        self.keys[name] = secret
        if not may_write:
            self.readers.add(name)

    async def start(self) -> None:
        """Listen with TLS on loopback.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, read_bufsize=4 << 20)
        await runner.setup()
        context = self._authority.server_context(HOST, "localhost")
        try:
            await web.TCPSite(runner, HOST, self.port, ssl_context=context).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        for connection in list(self._connections):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await asyncio.sleep(0)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._connections.add(request.transport)
        fault = self.faults.due(request.method, request.path)
        # Read whole before anything is judged, as the service judges a condition when the last byte has come.
        body = await request.read()
        try:
            if isinstance(fault, Answer):
                raise S3Error(fault.status, fault.code, fault.message)
            answer = self._dispatch(request, body)
        except S3Error as error:
            answer = error.answer()
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        answer.headers["Date"] = formatdate(self.clock(), usegmt=True)
        dropped = isinstance(fault, DropAfterCommit)
        size = 0 if dropped or request.method == "HEAD" else answer.content_length or 0
        self._trace.add(Request("s3", request.method, request.path, answer.status, len(body), size))
        if dropped and request.transport is not None:
            request.transport.abort()
        return answer

    def _dispatch(self, request: web.Request, body: bytes) -> web.Response:
        found = signer(request, self.keys, self.clock())
        if found is not None:
            require_body(request, hashlib.sha256(body).hexdigest())
        # One slash parts the bucket from the object; those of the object's name are its own.
        bucket_name, _, name = unquote(request.raw_path.partition("?")[0]).lstrip("/").partition("/")
        bucket = self.buckets.get(bucket_name)
        if bucket is None:
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        self._authorize(request, bucket, found, name)
        return _in_bucket(request, bucket, bucket_name) if not name else _of_object(request, bucket, name, body)

    def _authorize(self, request: web.Request, bucket: Bucket, found: tuple[str, str] | None, name: str) -> None:
        reads = request.method in ("GET", "HEAD")
        if found is None:
            public = bucket.conduct.public and reads and name and not request.query_string
            # Who may not list does not learn that a name is free.
            if not public or bucket.find(name) is None:
                raise denied()
            return
        key, region = found
        if region != bucket.conduct.region:
            named = {"Region": bucket.conduct.region} if bucket.conduct.names_region else {}
            headers = {"x-amz-bucket-region": bucket.conduct.region} if bucket.conduct.names_region else {}
            message = f"The authorization header is malformed; the region '{region}' is wrong"
            raise S3Error(400, "AuthorizationHeaderMalformed", message, named, headers)
        if not reads and (key in self.readers or bucket.conduct.frozen):
            raise denied()


def _in_bucket(request: web.Request, bucket: Bucket, bucket_name: str) -> web.Response:
    if request.method == "HEAD":
        return web.Response(headers={"x-amz-bucket-region": bucket.conduct.region})
    if request.method != "GET" or request.query.get("list-type") != "2":
        raise S3Error(501, "NotImplemented", "This call is not served.")
    prefix, after = request.query.get("prefix", ""), request.query.get("continuation-token", "")
    names = [name for name in bucket.names() if name.startswith(prefix) and name > after]
    limit = min(int(request.query.get("max-keys", _PAGE)), _PAGE)
    page = names[:limit]
    more = [("NextContinuationToken", page[-1])] if names[limit:] else []
    contents = [("Contents", [("Key", name), ("Size", str(len(bucket.get(name).content)))]) for name in page]
    about = [("Name", bucket_name), ("IsTruncated", str(bool(more)).lower()), ("KeyCount", str(len(page)))]
    return document("ListBucketResult", [*about, *more, *contents])


def _of_object(request: web.Request, bucket: Bucket, name: str, body: bytes) -> web.Response:
    query, method = request.query, request.method
    if method in ("GET", "HEAD") and "uploadId" not in query:
        return _get_object(request, bucket, bucket.get(name))
    if method == "GET":
        parts = sorted(bucket.upload(name, query["uploadId"]).parts.items())
        elements = [
            ("Part", [("PartNumber", str(number)), ("ETag", part_tag(part)), ("Size", str(len(part)))])
            for number, part in parts
        ]
        return document("ListPartsResult", [("Key", name), ("IsTruncated", "false"), *elements])
    if method == "POST" and "uploads" in query:
        upload_id = bucket.begin(name, _kept_headers(request.headers))
        return document("InitiateMultipartUploadResult", [("Key", name), ("UploadId", upload_id)])
    if method == "POST" and "uploadId" in query:
        stored = bucket.complete(name, query["uploadId"], _parts_of(body), request.headers)
        return document("CompleteMultipartUploadResult", [("Key", name), ("ETag", stored.etag)])
    if method == "DELETE" and "uploadId" in query:
        bucket.upload(name, query["uploadId"])
        del bucket.uploads[query["uploadId"]]
        return web.Response(status=204)
    if method == "PUT":
        return _put_object_or_part(request, bucket, name, body)
    raise denied()


def _put_object_or_part(request: web.Request, bucket: Bucket, name: str, body: bytes) -> web.Response:
    _require_checksums(request.headers, body, needed=bucket.conduct.object_lock)
    if "uploadId" in request.query:
        number = int(request.query.get("partNumber", "0"))
        if not 1 <= number <= 10_000:
            raise S3Error(400, "InvalidArgument", "Part number must be an integer between 1 and 10000")
        bucket.upload(name, request.query["uploadId"]).parts[number] = body
        return web.Response(headers={"ETag": part_tag(body)})
    stored = bucket.put(name, body, _kept_headers(request.headers), request.headers)
    version = {"x-amz-version-id": stored.version} if bucket.conduct.versioned else {}
    return web.Response(headers={"ETag": stored.etag, **version})


def _get_object(request: web.Request, bucket: Bucket, stored: Stored) -> web.Response:
    headers = {**stored.headers, "ETag": stored.etag, "Accept-Ranges": "bytes"}
    headers["Last-Modified"] = formatdate(stored.modified, usegmt=True)
    if request.method == "HEAD":
        headers["Content-Length"] = str(len(stored.content))
    if bucket.conduct.versioned:
        headers["x-amz-version-id"] = stored.version
    content, status = stored.content, 200
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is not None:
        start, last = int(match[1]), int(match[2]) if match[2] else len(content) - 1
        if start >= len(content):
            raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
        last = min(last, len(content) - 1)
        headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        content, status = content[start : last + 1], 206
    return web.Response(body=content, status=status, headers=headers)


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in _KEPT if name in headers}
    return kept | {name.lower(): value for name, value in headers.items() if name.lower().startswith(_META)}


def _parts_of(body: bytes) -> list[tuple[int, str]]:
    try:
        root = ET.fromstring(body)  # noqa: S314 - of this machine's own tests
        parts = [one for one in root if one.tag.rpartition("}")[2] == "Part"]
        found = [{child.tag.rpartition("}")[2]: child.text or "" for child in part} for part in parts]
        return [(int(one["PartNumber"]), one["ETag"]) for one in found]
    except (ET.ParseError, KeyError, ValueError) as error:
        raise S3Error(400, "MalformedXML", "The XML you provided was not well-formed") from error


def _require_checksums(headers: Mapping[str, str], body: bytes, *, needed: bool) -> None:
    digests = {
        "Content-MD5": hashlib.md5(body, usedforsecurity=False).digest(),
        "x-amz-checksum-sha256": hashlib.sha256(body).digest(),
    }
    given = {name: headers[name] for name in digests if name in headers}
    if needed and not given:
        raise S3Error(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required with Object Lock")
    for name, value in given.items():
        try:
            declared = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise S3Error(400, "InvalidDigest", f"The {name} you specified is not valid.") from error
        if declared != digests[name]:
            raise S3Error(400, "BadDigest", f"The {name} you specified did not match what we received.")
