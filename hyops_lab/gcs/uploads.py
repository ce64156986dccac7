"""The three ways in: media, multipart and resumable.

Of a resumable upload the service carries the preconditions from the first request to the last, where they are judged;
takes chunks of whole 256 KiB; ignores what it has already; and answers a finished session with the object again. The
session's URI is all that a sender needs: it is a secret. Sessions here end with the process.
Source: https://cloud.google.com/storage/docs/performing-resumable-uploads.
"""

import asyncio
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aiohttp import BodyPartReader, web

from hyops_lab.gcs.answers import ApiError, invalid
from hyops_lab.gcs.buckets import Bucket
from hyops_lab.gcs.objects import Checksums, Incoming, Objects, Preconditions, noted, require_name

QUANTUM_BYTES = 256 << 10
WEEK_SECONDS = 7 * 24 * 3600.0
_READ_BYTES = 1 << 20
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class Session:
    """A resumable upload that was begun. `answer` is the object once it is complete, `refusal` what ended it."""

    bucket: Bucket
    name: str
    noted: dict[str, Any]
    declared: dict[str, str]
    preconditions: Preconditions
    may_replace: bool
    total: int | None
    file: Path
    begun_at: float
    checksums: Checksums = field(default_factory=Checksums)
    answer: dict[str, Any] | None = None
    refusal: ApiError | None = None


@dataclass(frozen=True)
class Span:
    """The bytes of one PUT: `start` to `stop` (exclusive); None asks for the state only. `total` None is unknown."""

    start: int | None
    stop: int
    total: int | None


class Uploads:
    """Bytes on their way into buckets.

    Args:
        spool: where they wait.
        objects: where they go.
        session_seconds: how long a session lasts; a week at Google.
    """

    def __init__(self, spool: Path, objects: Objects, *, session_seconds: float) -> None:
        self.session_seconds = session_seconds
        self._spool = spool
        self._objects = objects
        self._sessions: dict[str, Session] = {}
        spool.mkdir(parents=True, exist_ok=True)
        for leftover in spool.iterdir():
            leftover.unlink()

    async def media(self, request: web.Request, bucket: Bucket, *, may_replace: bool, pretend: bool) -> dict[str, Any]:
        """Take an upload whose body is the object, and whose name is in the query."""
        name = require_name(request.query.get("name", ""))
        checksums = Checksums()
        file = self._new_file()
        with file.open("wb") as opened:
            await _receive(request, opened, checksums)
        about = noted({}, content_type=request.headers.get("Content-Type"))
        checksums.require(_hashes(request))
        return self._finish(
            bucket,
            Incoming(name, about, file, checksums, Preconditions.of(request.query), may_replace),
            pretend=pretend,
        )

    async def multipart(
        self, request: web.Request, bucket: Bucket, *, may_replace: bool, pretend: bool
    ) -> dict[str, Any]:
        """Take an upload whose body is a JSON part and a part of bytes (RFC 2387)."""
        if request.content_type != "multipart/related":
            raise invalid("Content-Type must be multipart/related.")
        parts = await _parts(request)
        if len(parts) != 2:
            raise invalid("Multipart upload: two parts are needed.")
        (_, metadata), (content_type, content) = parts
        body = json_object(metadata)
        name = require_name(str(body.get("name") or request.query.get("name", "")))
        checksums = Checksums()
        checksums.update(content)
        checksums.require(_hashes(request) | {key: body[key] for key in ("crc32c", "md5Hash") if key in body})
        file = self._new_file()
        file.write_bytes(content)
        about = noted(body, content_type=content_type)
        return self._finish(
            bucket,
            Incoming(name, about, file, checksums, Preconditions.of(request.query), may_replace),
            pretend=pretend,
        )

    async def begin(self, request: web.Request, bucket: Bucket, *, may_replace: bool) -> str:
        """Begin a resumable upload and return its id."""
        body = json_object(await request.read())
        length = request.headers.get("X-Upload-Content-Length")
        session = Session(
            bucket=bucket,
            name=require_name(str(body.get("name") or request.query.get("name", ""))),
            noted=noted(body, content_type=request.headers.get("X-Upload-Content-Type")),
            declared={key: body[key] for key in ("crc32c", "md5Hash") if key in body},
            preconditions=Preconditions.of(request.query),
            may_replace=may_replace,
            total=int(length) if length is not None else None,
            file=self._new_file(),
            begun_at=time.monotonic(),
        )
        session.file.touch()
        upload_id = f"AB{secrets.token_urlsafe(48)}"
        self._sessions[upload_id] = session
        return upload_id

    async def resume(self, upload_id: str, request: web.Request, *, pretend: bool) -> web.Response:
        """Take a PUT to a session: a chunk, all of the bytes, or the question how many are there.

        Raises:
            ApiError: 404 and 410: no such session; 400: a chunk that does not fit; 412 and 403 as its end.
        """
        session = self._session(upload_id)
        span = _span(request)
        if session.refusal is not None:
            raise session.refusal
        if session.answer is not None:
            return web.json_response(session.answer)
        if span.start is not None:
            await self._append(session, span, request)
        total = span.total if span.total is not None else session.total
        if span.total is None or session.checksums.size_bytes != total:
            return _incomplete(session)
        return web.json_response(self._complete(session, request, pretend=pretend))

    def cancel(self, upload_id: str) -> web.Response:
        """End a session; 499 is the answer to a success."""
        session = self._session(upload_id)
        session.file.unlink(missing_ok=True)
        del self._sessions[upload_id]
        return web.Response(status=499, reason="Client Closed Request")

    def expire_sessions(self) -> None:
        """Let a week pass over every session."""
        for session in self._sessions.values():
            session.begun_at -= self.session_seconds

    def _session(self, upload_id: str) -> Session:
        if upload_id not in self._sessions:
            raise ApiError(404, "notFound", "No such upload session.")
        session = self._sessions[upload_id]
        if time.monotonic() - session.begun_at >= self.session_seconds:
            session.file.unlink(missing_ok=True)
            raise ApiError(410, "uploadBroken", "The upload session has expired.")
        return session

    async def _append(self, session: Session, span: Span, request: web.Request) -> None:
        held = session.checksums.size_bytes
        start = span.start or 0
        if session.total is not None and span.total not in (None, session.total):
            raise invalid("The total size differs from the one that the upload was begun with.")
        if start > held:
            raise invalid(f"The upload offset is {start} byte(s), which exceeds already uploaded size of {held}.")
        if span.stop != span.total and (span.stop - start) % QUANTUM_BYTES:
            raise invalid("A chunk that is not the last must be a multiple of 262144 bytes.")
        with session.file.open("ab") as opened:
            await _receive(request, opened, session.checksums, skip=held - start, expected=span.stop - start)

    def _complete(self, session: Session, request: web.Request, *, pretend: bool) -> dict[str, Any]:
        try:
            session.checksums.require(_hashes(request) | session.declared)
            incoming = Incoming(
                session.name,
                session.noted,
                session.file,
                session.checksums,
                session.preconditions,
                session.may_replace,
            )
            session.answer = self._finish(session.bucket, incoming, pretend=pretend)
        except ApiError as error:
            session.refusal = error
            raise
        return session.answer

    def _finish(self, bucket: Bucket, incoming: Incoming, *, pretend: bool) -> dict[str, Any]:
        if pretend:
            # What a host says that lost the bytes: an object that holds none of them.
            incoming.file.unlink(missing_ok=True)
            return self._objects.described(bucket, incoming) | Checksums().named()
        return self._objects.commit(bucket, incoming)

    def _new_file(self) -> Path:
        return self._spool / secrets.token_hex(12)


async def _receive(
    request: web.Request, file: IO[bytes], checksums: Checksums, *, skip: int = 0, expected: int | None = None
) -> None:
    """Append a body to a file, without its first `skip` bytes. Of a body that breaks off, whole 256 KiB are kept."""
    received = 0
    pending = bytearray()
    async for chunk in request.content.iter_chunked(_READ_BYTES):
        pending += chunk[max(0, min(len(chunk), skip - received)) :]
        received += len(chunk)
        whole = len(pending) // QUANTUM_BYTES * QUANTUM_BYTES
        await asyncio.to_thread(_store, bytes(pending[:whole]), file, checksums)
        del pending[:whole]
    if expected is not None and received != expected:
        raise invalid(f"The body has {received} bytes, Content-Range says {expected}.")
    _store(bytes(pending), file, checksums)


def _store(chunk: bytes, file: IO[bytes], checksums: Checksums) -> None:
    file.write(chunk)
    checksums.update(chunk)


async def _parts(request: web.Request) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise invalid("Multipart upload: nested parts.")
            found.append((part.headers.get("Content-Type", ""), bytes(await part.read())))
    except ValueError as error:
        raise invalid(f"Multipart upload: {error}") from error
    return found


def json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an absent body is an empty one.

    Raises:
        ApiError: 400.
    """
    try:
        body = json.loads(content or b"{}")
    except ValueError as error:
        raise ApiError(400, "parseError", "Parse Error") from error
    if not isinstance(body, dict):
        raise ApiError(400, "parseError", "Parse Error")
    return body


def _hashes(request: web.Request) -> dict[str, str]:
    """Read `x-goog-hash: crc32c=…,md5=…`."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    found: dict[str, str] = {}
    for value in request.headers.getall("x-goog-hash", []):
        for one in value.split(","):
            name, _, digest = one.strip().partition("=")
            if name not in names:
                raise invalid(f"Unknown hash in x-goog-hash: {name!r}")
            found[names[name]] = digest
    return found


def _span(request: web.Request) -> Span:
    """Read `Content-Range`; a PUT without one carries all of the bytes."""
    given = request.headers.get("Content-Range")
    if given is None:
        length = request.content_length
        if length is None:
            raise ApiError(411, "required", "Content-Length is needed.")
        return Span(0, length, length)
    match = _RANGE.fullmatch(given)
    if match is None:
        raise invalid(f"Failed to parse Content-Range header: {given!r}")
    first, last, total = match.groups()
    size = None if total == "*" else int(total)
    if first is None:
        return Span(None, 0, size)
    if int(last) < int(first) or (size is not None and int(last) >= size):
        raise invalid(f"Failed to parse Content-Range header: {given!r}")
    return Span(int(first), int(last) + 1, size)


def _incomplete(session: Session) -> web.Response:
    held = session.checksums.size_bytes
    headers = {"Range": f"bytes=0-{held - 1}"} if held else {}
    return web.Response(status=308, reason="Resume Incomplete", headers=headers)
