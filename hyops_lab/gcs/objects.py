"""Objects: bytes and what is noted of them, written before they can be seen and never half.

A generation is a file of its own, so that a reader of a replaced object keeps what it opened.
Source: https://cloud.google.com/storage/docs/json_api/v1/objects and …/docs/request-preconditions.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import google_crc32c

from hyops_lab.gcs.answers import ApiError, invalid, no_object, precondition_failed, retained
from hyops_lab.gcs.buckets import Bucket, now_text

_NOTED = {"cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "metadata"}
_DECLARED = {"name", "bucket", "crc32c", "md5Hash"}
_MAX_METADATA_BYTES = 8 << 10

Present = dict[str, Any] | None


class Hash(Protocol):
    """A checksum that is fed as bytes arrive."""

    def update(self, chunk: bytes, /) -> object:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the checksum so far."""
        ...


class Checksums:
    """CRC32C, MD5 and size of bytes on their way in, as the service notes them."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._crc32c: Hash = google_crc32c.Checksum()
        self._md5: Hash = hashlib.md5(usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take more bytes."""
        self._crc32c.update(chunk)
        self._md5.update(chunk)
        self.size_bytes += len(chunk)

    def named(self) -> dict[str, str]:
        """Return `crc32c` and `md5Hash`, in base64."""
        hashes = {"crc32c": self._crc32c, "md5Hash": self._md5}
        return {name: base64.b64encode(one.digest()).decode() for name, one in hashes.items()}

    def require(self, declared: Mapping[str, str]) -> None:
        """Refuse bytes that are not what their sender says they are.

        Args:
            declared: `crc32c` and `md5Hash` as a sender gave them; what is absent is not compared.

        Raises:
            ApiError: 400.
        """
        for name, found in self.named().items():
            if name in declared and declared[name] != found:
                raise invalid(
                    f"Provided {name} hash '{declared[name]}' doesn't match calculated {name} hash '{found}'."
                )


@dataclass(frozen=True)
class Preconditions:
    """What a request says must hold of the object that is there; None is not asked about."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Preconditions":
        """Read the query parameters of a request.

        Raises:
            ApiError: 400: one is no number.
        """
        names = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch")
        try:
            return cls(*(int(query[name]) if name in query else None for name in names))
        except ValueError as error:
            raise invalid("Invalid long value in a precondition.") from error

    def require(self, present: Present) -> None:
        """Refuse where the object there, or its absence (generation 0), is not the one asked for.

        Raises:
            ApiError: 412.
        """
        generation = int(present["generation"]) if present else 0
        metageneration = int(present["metageneration"]) if present else 0
        holds = (
            self.generation in (None, generation)
            and self.not_generation != generation
            and self.metageneration in (None, metageneration)
            and self.not_metageneration != metageneration
        )
        if not holds:
            raise precondition_failed()


@dataclass(frozen=True)
class Incoming:
    """Bytes that have all arrived, and what is to be noted of them."""

    name: str
    noted: Mapping[str, Any]
    file: Path
    checksums: Checksums
    preconditions: Preconditions
    may_replace: bool


class Objects:
    """The objects of every bucket, in `<directory>/<bucket>/`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all: dict[tuple[str, str], dict[str, Any]] = {}
        self._last_generation = 0
        for path in directory.glob("*/objects/*.json"):
            resource = json.loads(path.read_text())
            self._all[resource["bucket"], resource["name"]] = resource

    def find(self, bucket: Bucket, name: str) -> Present:
        """Return what is noted of an object, or None where the name is free."""
        return self._all.get((bucket.name, name))

    def get(self, bucket: Bucket, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return what is noted of an object, of the generation asked for.

        Raises:
            ApiError: 404, or 412 where a precondition does not hold.
        """
        found = self.find(bucket, name)
        if found is None or query.get("generation", found["generation"]) != found["generation"]:
            raise no_object(bucket.name, name)
        Preconditions.of(query).require(found)
        return found

    def content(self, resource: Mapping[str, Any]) -> Path:
        """Return the file that holds an object's bytes."""
        return self._directory / resource["bucket"] / "content" / resource["generation"]

    def list(self, bucket: Bucket, prefix: str) -> list[dict[str, Any]]:
        """Return what is noted of the objects whose names start so, by name."""
        names = sorted(name for where, name in self._all if where == bucket.name and name.startswith(prefix))
        return [self._all[bucket.name, name] for name in names]

    def commit(self, bucket: Bucket, incoming: Incoming) -> dict[str, Any]:
        """Give bytes their name, and return what is noted of them. The file is taken; where refused, removed.

        Raises:
            ApiError: 412: the name is not as the preconditions say; 403: it is taken, and may not be replaced.
        """
        try:
            present = self.find(bucket, incoming.name)
            incoming.preconditions.require(present)
            if present is not None:
                self._require_changeable(bucket, present)
                if not incoming.may_replace:
                    raise ApiError(403, "forbidden", "storage.objects.delete access is needed to replace an object.")
            resource = self.described(bucket, incoming)
            content = self.content(resource)
            content.parent.mkdir(exist_ok=True)
            incoming.file.replace(content)
        finally:
            incoming.file.unlink(missing_ok=True)
        self._write(resource)
        if present is not None:
            self.content(present).unlink()
        return resource

    def described(self, bucket: Bucket, incoming: Incoming) -> dict[str, Any]:
        """Return what would be noted of an object that is created now."""
        generation, time_ = self._next_generation(), now_text()
        path = f"{bucket.name}/o/{quote(incoming.name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{bucket.name}/{incoming.name}/{generation}",
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{path}",
            "name": incoming.name,
            "bucket": bucket.name,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "storageClass": bucket.resource["storageClass"],
            "size": str(incoming.checksums.size_bytes),
            "etag": f"C{generation}=",
            "timeCreated": time_,
            "updated": time_,
            "timeFinalized": time_,
            **incoming.checksums.named(),
            **incoming.noted,
        }

    def delete(self, bucket: Bucket, name: str, query: Mapping[str, str]) -> None:
        """Remove an object.

        Raises:
            ApiError: 404; 412: a precondition; 403: the bucket's retention.
        """
        found = self.get(bucket, name, query)
        self._require_changeable(bucket, found)
        del self._all[bucket.name, name]
        self._path(bucket.name, name).unlink()
        self.content(found).unlink()

    def _require_changeable(self, bucket: Bucket, resource: Mapping[str, Any]) -> None:
        until = bucket.retained_until(datetime.fromisoformat(resource["timeCreated"]))
        if until is not None and datetime.now(UTC) < until:
            raise retained(f"{bucket.name}/{resource['name']}")

    def _next_generation(self) -> int:
        self._last_generation = max(time.time_ns() // 1000, self._last_generation + 1)
        return self._last_generation

    def _write(self, resource: dict[str, Any]) -> None:
        path = self._path(resource["bucket"], resource["name"])
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(resource))
        partial.replace(path)
        self._all[resource["bucket"], resource["name"]] = resource

    def _path(self, bucket: str, name: str) -> Path:
        # A name may hold anything, and be longer than a file's name may be.
        return self._directory / bucket / "objects" / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


def noted(body: Mapping[str, Any], *, content_type: str | None = None) -> dict[str, Any]:
    """Return what a creator may note of an object.

    Raises:
        ApiError: 400: a field that does not exist or cannot be set, or too much custom metadata.
    """
    strange = body.keys() - _NOTED - _DECLARED
    if strange:
        raise invalid(f"Unknown or unserved field of an object: {', '.join(sorted(strange))}")
    found = {key: value for key, value in body.items() if key in _NOTED and value is not None}
    custom = found.get("metadata", {})
    if not _is_text(custom) or len(json.dumps(custom)) > _MAX_METADATA_BYTES:
        raise invalid("Custom metadata: keys and values are strings, 8 KiB in all.")
    return ({"contentType": content_type} if content_type else {}) | found


def require_name(name: str) -> str:
    """Return an object's name unchanged.

    Raises:
        ApiError: 400: empty, too long, with line ends, or one of the reserved names.
    """
    reserved = name in (".", "..") or name.startswith(".well-known/acme-challenge/")
    if not 0 < len(name.encode()) <= 1024 or "\n" in name or "\r" in name or reserved:
        raise invalid(f"Invalid object name: {name[:100]!r}")
    return name


def _is_text(custom: object) -> bool:
    return isinstance(custom, dict) and all(isinstance(text, str) for pair in custom.items() for text in pair)
