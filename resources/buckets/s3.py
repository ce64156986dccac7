"""A bucket of an S3 service: Hetzner Object Storage, Ceph's gateway, Amazon's own.

A name is created by `If-None-Match: *`, and replaced by `If-Match` with the entity-tag that was read; the service
judges both when the last byte has come. Which of its requests a service really makes conditional is tried out before
anything depends on it (`s3_conditions.py`): one that ignores the header would replace what is published.

Up to `part_bytes` travel in one request. More goes in parts, where the completion is conditional too, so that a
killed upload can be gone on with (`s3_parts.py`); where it is not, in one request up to 5 GiB.
"""

import base64
import hashlib
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyops_assets.contract.progress import Progress, silent
from resources.buckets.base import (
    BucketFailed,
    BucketUnavailable,
    Changed,
    Immutable,
    Noted,
    ObjectHead,
    Taken,
    no_object,
)
from resources.buckets.names import require_object_name
from resources.buckets.proven_source import ProvenSource, proven
from resources.buckets.s3_conditions import Conditions
from resources.buckets.s3_errors import CONFLICTS, S3Refused, asked
from resources.buckets.s3_parts import PART_BYTES, Parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MOST_BYTES_AT_ONCE = 5 << 30
"""Of one PUT (https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html)."""
_NEVER = "no-store"
_TRIES = 5


class S3Bucket:
    """Objects in one bucket.

    Args:
        connect: returns the client. Called once, when something is first asked of the service.
        name: of the bucket.
        part_bytes: how much of a large object is sent, and may have to be sent again, at a time.
        notes: directory in which is noted which uploads were begun; None where none is gone on with.
    """

    def __init__(
        self,
        connect: Callable[[], "S3Client"],
        name: str,
        *,
        part_bytes: int = PART_BYTES,
        notes: Path | None = None,
    ) -> None:
        self.name = name
        self._connect = connect
        self._part_bytes = part_bytes
        self._notes = notes
        self._is_there = False

    @property
    def place(self) -> str:
        """`s3://` and the bucket's name."""
        return f"s3://{self.name}"

    def close(self) -> None:
        """Close the connections."""
        if "_client" in vars(self):
            self._client.close()

    def require_conditional(self) -> None:
        """Find out whether the bucket creates a name once. Writes an object of known content, where it is not there.

        Raises:
            NotConditional: it replaces what is there.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        self._conditions.require_creation()

    def create(self, name: str, source: Path | bytes, noted: Noted, *, progress: Progress = silent) -> int:
        """Create an immutable object under a free name, or nothing; return how many bytes were sent.

        Raises:
            Taken: the name is not free. After a lost answer that may be our own success.
            DigestMismatch: the source's bytes do not have the noted SHA-256.
            NotConditional: the bucket would replace what is there.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        require_object_name(name)
        self.require_conditional()
        with proven(source, noted.sha256, progress) as stream:
            if stream.size_bytes > self._part_bytes and self._conditions.completion:
                parts = Parts(self._client, self.name, name, self._part_bytes, self._notes)
                parts.create(stream, noted, self._is_taken)
                sent = parts.bytes_sent
            else:
                self._put_once(name, stream, noted)
                sent = stream.bytes_read
            progress("publish", stream.size_bytes, stream.size_bytes)
        return sent

    def replace(self, name: str, content: bytes, *, expected: str | None) -> str:
        """Write a moving object where what is expected stands; return its new tag.

        Raises:
            Changed: something else is there, or nothing.
            Immutable: it was created with its digest.
            NotConditional: the bucket would replace whatever is there.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        form = self._conditions.require_swap()
        held = self.head(name)
        if held is not None and held.noted is not None:
            raise Immutable(self._where(name))
        if (held.tag if held else None) != expected:
            raise Changed(self._where(name))
        condition: Any = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": form(expected)}
        digest = hashlib.sha256(content).digest()
        try:
            answer = asked(
                f"write {self._where(name)}",
                lambda: self._client.put_object(
                    Bucket=self.name,
                    Key=name,
                    Body=content,
                    CacheControl=_NEVER,
                    ChecksumSHA256=base64.b64encode(digest).decode(),
                    **condition,
                ),
            )
        except S3Refused as refused:
            if refused.status not in (404, 409, 412):
                raise
            return self._after_a_lost_answer(name, content, refused)
        return str(answer["ETag"])

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object's bytes, or those from `start` up to `stop`; fewer where it ends before.

        Raises:
            NotThere: there is none.
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        require_object_name(name)
        if stop is not None and stop <= start:
            return b""
        asked_for = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            return asked(
                f"read {self._where(name)}",
                lambda: self._client.get_object(Bucket=self.name, Key=name, Range=asked_for)["Body"].read(),
            )
        except S3Refused as refused:
            if refused.status == 416:
                return b""
            if refused.status != 404:
                raise
        self._require_bucket()
        raise no_object(self._where(name))

    def head(self, name: str) -> ObjectHead | None:
        """Return what is known of an object, or None where there is none.

        Raises:
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        require_object_name(name)
        try:
            found = asked(f"look up {self._where(name)}", lambda: self._client.head_object(Bucket=self.name, Key=name))
        except S3Refused as refused:
            if refused.status != 404:
                raise self._explained(refused) from refused
            self._require_bucket()
            return None
        self._is_there = True
        metadata = dict(found["Metadata"])
        sha256 = metadata.pop("sha256", None)
        noted = Noted(sha256, found["ContentType"], metadata, found.get("CacheControl", "")) if sha256 else None
        return ObjectHead(name, int(found.get("ContentLength", 0)), found["ETag"], noted)

    def list(self, prefix: str) -> list[str]:
        """Return the names that start with a prefix, sorted.

        Raises:
            BucketUnavailable, NotPermitted, BucketFailed.
        """
        pages: Any = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return asked(
            f"list {self.place}",
            lambda: sorted(str(one["Key"]) for page in pages for one in page.get("Contents", [])),
        )

    @cached_property
    def _client(self) -> "S3Client":
        return self._connect()

    @cached_property
    def _conditions(self) -> Conditions:
        return Conditions(self._client, self.name, self.head)

    def _put_once(self, name: str, stream: ProvenSource, noted: Noted) -> None:
        if stream.size_bytes > MOST_BYTES_AT_ONCE:
            raise BucketFailed(
                f"{name} has {stream.size_bytes} bytes: more than one request takes, and {self.place} completes "
                "uploads in parts without a condition",
                hint="publish it into a bucket of a newer service",
            )
        for left in reversed(range(_TRIES)):
            stream.seek(0)
            try:
                asked(f"publish {self._where(name)}", lambda: self._put(name, stream, noted))
            except S3Refused as refused:
                if refused.status == 412 or (refused.code in CONFLICTS and self._is_taken(name)):
                    raise Taken(self._where(name), bytes_sent=stream.bytes_read) from refused
                if refused.code not in CONFLICTS:
                    raise
                if not left:
                    raise BucketUnavailable(refused.message, hint="try again later") from refused
                time.sleep(0.1 * (_TRIES - left))
            else:
                return

    def _put(self, name: str, stream: ProvenSource, noted: Noted) -> None:
        body: Any = stream
        self._client.put_object(
            Bucket=self.name,
            Key=name,
            Body=body,
            ContentLength=stream.size_bytes,
            IfNoneMatch="*",
            ContentType=noted.content_type,
            CacheControl=noted.cache_control,
            Metadata={**(noted.metadata or {}), "sha256": noted.sha256},
            # A bucket with object lock takes nothing without a checksum, and others compare it.
            ChecksumSHA256=base64.b64encode(bytes.fromhex(noted.sha256)).decode(),
        )

    def _is_taken(self, name: str) -> bool:
        return self.head(name) is not None

    def _after_a_lost_answer(self, name: str, content: bytes, refused: S3Refused) -> str:
        """Return the tag where a request, repeated by the client, met its own success."""
        if refused.attempts > 1 and (held := self.head(name)) is not None and self.read(name) == content:
            return held.tag
        raise Changed(self._where(name)) from refused

    def _require_bucket(self) -> None:
        """See that there is a bucket, once: the service answers 404 for either, and to a HEAD without words."""
        if self._is_there:
            return
        try:
            asked(f"look up {self.place}", lambda: self._client.head_bucket(Bucket=self.name))
        except S3Refused as refused:
            if refused.status != 404:
                raise
            raise BucketFailed(
                f"there is no bucket {self.place}",
                hint=f"aws s3api create-bucket --bucket {self.name} (with --endpoint-url), or write its name right",
            ) from refused
        self._is_there = True

    def _explained(self, refused: S3Refused) -> S3Refused:
        """Return why a HEAD was refused: its answer has no words, that of a GET has."""
        try:
            asked(
                f"look at {self.place}", lambda: self._client.list_objects_v2(Bucket=self.name, Prefix="-", MaxKeys=1)
            )
        except S3Refused as worded:
            return worded
        return refused

    def _where(self, name: str) -> str:
        return f"{self.place}/{require_object_name(name)}"
