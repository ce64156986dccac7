"""Buckets in memory: objects, their versions, and uploads in parts.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from hyops_lab.s3.answers import S3Error, condition_failed, no_key, no_upload

LEAST_PART_BYTES = 5 << 20


@dataclass
class Conduct:
    """What a bucket does, or leaves out as a weaker service would.

    Attributes:
        public: whether anonymous readers may read objects.
        creates_once: whether `If-None-Match` of a PUT is looked at.
        completes_once: whether that of a completion is.
        compares: whether `If-Match` is.
        reads_quotes: whether the tag in `If-Match` may have its quotes; Ceph's gateway up to 18 takes it without.
        frozen: whether nothing may be written, by whatever key.
        object_lock: whether what is written needs a checksum.
        versioned: whether former objects of a name are kept.
        region: that requests have to be signed for.
        names_region: whether a refusal tells it.
    """

    public: bool = True
    creates_once: bool = True
    completes_once: bool = True
    compares: bool = True
    reads_quotes: bool = True
    frozen: bool = False
    object_lock: bool = False
    versioned: bool = False
    region: str = "us-east-1"
    names_region: bool = True


@dataclass(frozen=True)
class Stored:
    """An object."""

    content: bytes
    headers: Mapping[str, str]
    etag: str
    modified: float = field(default_factory=time.time)
    version: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass
class Upload:
    """An upload in parts that was begun."""

    name: str
    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])


class Bucket:
    """Objects by name, the newest of each name last."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.uploads: dict[str, Upload] = {}
        self._versions: dict[str, list[Stored]] = {}

    def find(self, name: str) -> Stored | None:
        """Return the object of a name."""
        return self._versions[name][-1] if name in self._versions else None

    def get(self, name: str) -> Stored:
        """Return the object of a name.

        Raises:
            S3Error: 404.
        """
        found = self.find(name)
        if found is None:
            raise no_key()
        return found

    def versions(self, name: str) -> list[Stored]:
        """Return what a name had and has."""
        return list(self._versions.get(name, []))

    def remove(self, name: str) -> None:
        """Remove an object with its versions, as the bucket's owner may by other means."""
        self._versions.pop(name, None)

    def names(self) -> list[str]:
        """Return every name, sorted."""
        return sorted(self._versions)

    def put(self, name: str, content: bytes, headers: Mapping[str, str], request: Mapping[str, str]) -> Stored:
        """Write an object where the conditions of a request hold.

        Raises:
            S3Error: 404, 412, 501.
        """
        self._require(name, request, self.conduct.creates_once)
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        return self._keep(name, Stored(content, headers, etag))

    def begin(self, name: str, headers: Mapping[str, str]) -> str:
        """Begin an upload in parts and return its id."""
        upload_id = f"2~{secrets.token_urlsafe(24)}"
        self.uploads[upload_id] = Upload(name, headers)
        return upload_id

    def upload(self, name: str, upload_id: str) -> Upload:
        """Return an upload that was begun for a name.

        Raises:
            S3Error: 404.
        """
        found = self.uploads.get(upload_id)
        if found is None or found.name != name:
            raise no_upload()
        return found

    def complete(self, name: str, upload_id: str, listed: list[tuple[int, str]], request: Mapping[str, str]) -> Stored:
        """Make an object of the listed parts where the conditions of a request hold.

        Raises:
            S3Error: 400, 404, 412.
        """
        upload = self.upload(name, upload_id)
        numbers = [number for number, _ in listed]
        if not numbers or numbers != sorted(set(numbers)):
            raise S3Error(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in listed:
            if number not in upload.parts or part_tag(upload.parts[number]) != f'"{etag.strip(chr(34))}"':
                raise S3Error(400, "InvalidPart", "One or more of the specified parts could not be found.")
            if number != numbers[-1] and len(upload.parts[number]) < LEAST_PART_BYTES:
                raise S3Error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        self._require(name, request, self.conduct.completes_once)
        digests = b"".join(hashlib.md5(upload.parts[one], usedforsecurity=False).digest() for one in numbers)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(numbers)}"'
        del self.uploads[upload_id]
        content = b"".join(upload.parts[one] for one in numbers)
        return self._keep(name, Stored(content, upload.headers, etag))

    def _keep(self, name: str, stored: Stored) -> Stored:
        kept = self._versions.get(name, []) if self.conduct.versioned else []
        self._versions[name] = [*kept, stored]
        return stored

    def _require(self, name: str, request: Mapping[str, str], creates_once: bool) -> None:  # noqa: FBT001
        found = self.find(name)
        none, match = request.get("If-None-Match"), request.get("If-Match")
        if none is not None and creates_once:
            if none != "*":
                raise S3Error(501, "NotImplemented", "If-None-Match of a write takes * alone.")
            if found is not None:
                raise condition_failed()
        if match is not None and self.conduct.compares:
            if found is None:
                raise no_key()
            if (match.strip('"') if self.conduct.reads_quotes else match) != found.etag.strip('"'):
                raise condition_failed()


def part_tag(content: bytes) -> str:
    """Return a part's entity-tag."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
